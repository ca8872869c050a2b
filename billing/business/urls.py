from django.urls import path

from billing.business import pages, tenant_page

_TENANT = "admin/tenants/<slug:code>/"

# Beside the admin, which has pages for models alone.
urlpatterns = [
    path("admin/close/", pages.close, name="admin_close"),
    path(_TENANT, tenant_page.tenant_page, name="admin_tenant"),
    path(f"{_TENANT}suspend/", tenant_page.suspend, name="admin_suspend"),
    path(f"{_TENANT}resume/", tenant_page.resume, name="admin_resume"),
    path(f"{_TENANT}credit/", tenant_page.change_credit, name="admin_credit"),
    path(
        f"{_TENANT}credit/<uuid:change_id>/", tenant_page.decide_credit, name="admin_credit_decide"
    ),
]
