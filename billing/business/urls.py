from django.urls import path

from billing.business import money_pages, new_tenant, pages, tenant_actions, tenant_page

_TENANT = "admin/tenants/<slug:code>/"

# Beside the admin, which has pages for models alone.
urlpatterns = [
    path("admin/close/", pages.close, name="admin_close"),
    path("admin/close/hand-over/", pages.hand_over, name="admin_hand_over"),
    path("admin/disputes/", pages.disputes, name="admin_disputes"),
    path("admin/settlement/", money_pages.backlog_page, name="admin_backlog"),
    path("admin/dead-letters/", money_pages.dead_letters_page, name="admin_dead_letters"),
    path("admin/dead-letters/retry/", money_pages.retry_letters, name="admin_letters_retry"),
    path("admin/dead-letters/give-up/", money_pages.give_up_letter, name="admin_letter_give_up"),
    path("admin/tenants/new/", new_tenant.new_tenant, name="admin_new_tenant"),
    path(_TENANT, tenant_page.tenant_page, name="admin_tenant"),
    path(f"{_TENANT}suspend/", tenant_actions.suspend, name="admin_suspend"),
    path(f"{_TENANT}resume/", tenant_actions.resume, name="admin_resume"),
    path(f"{_TENANT}close/", tenant_actions.close, name="admin_close_tenant"),
    path(f"{_TENANT}reopen/", tenant_actions.reopen, name="admin_reopen"),
    path(f"{_TENANT}export/", tenant_actions.export, name="admin_export"),
    path(f"{_TENANT}invite/", tenant_actions.invite, name="admin_invite"),
    path(f"{_TENANT}note/", tenant_actions.note, name="admin_note"),
    path(f"{_TENANT}visit/", tenant_actions.visit, name="admin_visit"),
    path(f"{_TENANT}leave/", tenant_actions.leave, name="admin_leave"),
    path(f"{_TENANT}credit/", tenant_actions.change_credit, name="admin_credit"),
    path(f"{_TENANT}refund/<uuid:top_up_id>/", tenant_actions.refund, name="admin_refund"),
    path(
        f"{_TENANT}credit/<uuid:change_id>/",
        tenant_actions.decide_credit,
        name="admin_credit_decide",
    ),
]
