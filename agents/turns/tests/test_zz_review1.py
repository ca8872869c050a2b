import time, json, threading, os, signal
from typing import Any
from uuid import UUID
import pytest, orjson
from django.core.cache import cache
from django.db import OperationalError
from agentflare.ids import uuid7
from agentflare.redis_store import get_redis
from agents.conversations import services as conversations
from agents.conversations.models import Conversation, Item
from agents.definitions.models import Agent
from agents.turns import services, leases, healing, event_log, budget, cancels, background
from agents.turns.event_log import Ends, Entry, EventLog
from agents.turns.faces import ResponseFace, AgentFace
from agents.turns.models import Turn
from agents.turns.run import Ask, TurnRun
from agents.turns.prompt import Cut
from agents.turns.state import TurnState
from inference.chat.events import Delta, Finish, Usage
from inference.pipeline import Call
from tenants.registry.schemas import tenant_schema

def message(text): return {"type": "message", "role": "user", "content": [{"type":"input_text","text":text}]}
def new(**f):
    return services.NewTurn(**{**dict(id=uuid7(), request_id=uuid7(), model="m", params={}, items=[message("q")], key_id="k"), **f})
class Rec:
    def __init__(s, code): s.tenant_code=code; s.key_id="k"
class Meter:
    def __init__(s):
        class C: cost_nusd=1000; available_nusd=None
        s.captured=C()
        class E: input_tokens=1; cached_input_tokens=0; output_tokens=1; reasoning_tokens=0; estimated_nusd=5000
        class H: event=E()
        s.hold=H()
class Chat:
    def __init__(s, evs): s.evs=evs; s.meter=Meter(); s.usage=Usage(); s.admitted=s; s.closed=0
    def told(s): return None
    def start(s): pass
    def close(s): s.closed+=1
    def client_left(s): pass
    def whole(s): return list(s.evs)
    def events(s): yield from s.evs
    def headers(s): return {}

def run_of(code, turn, evs, agent=None, log=None):
    call=Call(caller=Rec(code), request_id=UUID(hex=orjson.loads(turn.steps)[0]["request_id"]), endpoint="responses", model="m")
    state=TurnState(id=turn.pk, model="m", conversation_id=turn.conversation_id, agent_id=agent.pk if agent else None, steps=orjson.loads(turn.steps))
    r=TurnRun(Ask(call=call, fields={}, instructions=None, cut=Cut(100,True)), state=state, face=AgentFace({}) if agent else ResponseFace({}), before=[], items=[], is_kept=True, log=log)
    r._chat=Chat(evs)
    return r

def logprob(): return {"token":"abcdefgh","logprob":-1.23456,"bytes":[1]*8,"top_logprobs":[{"token":"abcdefgh","logprob":-1.234567,"bytes":[100]*8} for _ in range(20)]}
BIG=[Delta(content="abcdefgh", logprobs={"content":[logprob()]}) for _ in range(2600)]+[Finish(0,"stop")]

def test_big_item(acme: Any) -> None:
    for how in ("whole","events"):
        with tenant_schema(acme.code):
            t=services.begin(new())
        leases.take(acme.code, t.pk)
        r=run_of(acme.code, t, BIG)
        try:
            x = r.whole() if how=="whole" else list(r.events())
            print("###", how, "returned")
        except BaseException as e: print("###", how, type(e), str(e)[:150])
        r.close()
        with tenant_schema(acme.code):
            t=Turn.objects.get(pk=t.pk); c=Conversation.objects.get(pk=t.conversation_id)
        print("### status", t.status, "active", c.active_turn==t.pk, "lease held", (acme.code,t.pk) in leases._held, "watched", t.pk in cancels._running)
        leases.give_back(acme.code, t.pk)

def test_storage_full_end(acme: Any, settings: Any) -> None:
    with tenant_schema(acme.code):
        t=services.begin(new())
    leases.take(acme.code, t.pk)
    settings.STORED_BYTES_MOST=100; cache.clear()
    r=run_of(acme.code, t, [Finish(0,"stop")])
    try: list(r.events()); print("### ended")
    except BaseException as e: print("### events raised", type(e))
    with tenant_schema(acme.code):
        t=Turn.objects.get(pk=t.pk); c=Conversation.objects.get(pk=t.conversation_id)
    print("### status", t.status, "active", c.active_turn==t.pk, "lease held", (acme.code,t.pk) in leases._held)
    leases.give_back(acme.code, t.pk)
    with tenant_schema(acme.code):
        try: healing.heal(acme.code, t.pk); print("### healed")
        except BaseException as e: print("### heal raised", type(e))
        try: services.end_for_dead
        finally: pass

def test_heal_all_poison(acme: Any, globex: Any) -> None:
    made=[]
    for cast in (acme, globex):
        with tenant_schema(cast.code): t=services.begin(new())
        made.append((cast.code,t))
    code,t=made[0]
    # Redis had lost the beginning of the stream.
    p=get_redis().pipeline(); event_log.add_entry(p, event_log.log_key(code,t.pk), Entry(9, orjson.dumps({"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"x","sequence_number":9}).decode(), Ends.NOTHING)); p.execute()
    for code,t in made:
        get_redis().zadd(leases._key(leases.partition_of(code)), {leases._member((code,t.pk)): time.time()-1})
    for _ in range(2):
        try: print("### heal_all", healing.heal_all())
        except BaseException as e: print("### heal_all raised", type(e), e)
    for code,t in made:
        with tenant_schema(code): print("###", Turn.objects.get(pk=t.pk).status)
        leases.give_back(code,t.pk)

def an_agent(**f):
    return Agent.objects.create(name="a", model="m", tool_secret="", monthly_budget_nusd=10**9, **f)

def test_learn_twice(acme: Any, monkeypatch: Any) -> None:
    with tenant_schema(acme.code):
        a=an_agent(); c=conversations.create_conversation(metadata={}, agent_id=a.pk)
        n=new(agent_id=a.pk, conversation_id=c.pk); t=services.begin(n)
        budget.reserve(a.pk, t.pk, amount_nusd=5000)
        Turn.objects.filter(pk=t.pk).update(status="interrupted")
        class R: request_id=n.request_id; cost_nusd=1000; input_tokens=1; cached_input_tokens=0; output_tokens=1; reasoning_tokens=0
        monkeypatch.setattr(services.UsageRecord, "objects", type("M",(),{"filter":staticmethod(lambda **k:[R])}))
        t1,t2=Turn.objects.get(pk=t.pk),Turn.objects.get(pk=t.pk)
        services.learn_costs(t1); services.learn_costs(t2)
        a.refresh_from_db(); print("### learn twice: spent", a.spent_nusd, "reserved", a.reserved_nusd)

def test_second_step_killed(acme: Any) -> None:
    with tenant_schema(acme.code):
        a=an_agent(); c=conversations.create_conversation(metadata={}, agent_id=a.pk)
        n=new(agent_id=a.pk, conversation_id=c.pk); t=services.begin(n)
        st=TurnState(id=t.pk, model="m", conversation_id=c.pk, agent_id=a.pk, steps=[{"request_id":n.request_id.hex,"cost_nusd":7}])
        services.save(st, saved=0)
        # as _note_step of step 2
        budget.reserve(a.pk, t.pk, amount_nusd=5000)
        healing.heal(acme.code, t.pk)
        t=Turn.objects.get(pk=t.pk); services.learn_costs(t); a.refresh_from_db()
        print("### step2 killed:", t.status, t.steps, "turn.reserved", t.reserved_nusd, "agent.reserved", a.reserved_nusd)
        conversations.delete_conversation(c.pk); a.refresh_from_db(); print("### after delete of conversation", a.reserved_nusd)

def test_spend_fails(acme: Any, monkeypatch: Any) -> None:
    with tenant_schema(acme.code):
        a=an_agent(); c=conversations.create_conversation(metadata={}, agent_id=a.pk)
        t=services.begin(new(agent_id=a.pk, conversation_id=c.pk)); budget.reserve(a.pk, t.pk, amount_nusd=5000)
    leases.take(acme.code, t.pk)
    r=run_of(acme.code, t, [Delta(content="Hi"),Finish(0,"stop")], agent=a); r.state.reserved_nusd=5000
    real=budget.spend; n=[0]
    def spend(*x, **k):
        n[0]+=1
        if n[0]==1: raise OperationalError("gone")
        return real(*x, **k)
    monkeypatch.setattr(budget,"spend",spend)
    evs=list(r.events())
    with tenant_schema(acme.code):
        a.refresh_from_db(); t=Turn.objects.get(pk=t.pk)
        print("### spend failed once:", t.status, "cost", t.cost_nusd, t.steps, "turn.reserved", t.reserved_nusd, "agent", a.spent_nusd, a.reserved_nusd, "captured 1000")

def test_go_on_redis_down(acme: Any, monkeypatch: Any) -> None:
    from agents.agent_conversations import turns as at
    from agents.agent_conversations.params import ToolOutput
    from redis.exceptions import ConnectionError as RC
    with tenant_schema(acme.code):
        from agentflare import secrets
        a=an_agent(); a.tool_secret=secrets.encrypt("whsec_x", purpose="agent-tools"); a.save(); c=conversations.create_conversation(metadata={}, agent_id=a.pk)
        n=new(agent_id=a.pk, conversation_id=c.pk); t=services.begin(n)
        fc=uuid7(); st=TurnState(id=t.pk, model="m", status="requires_action", conversation_id=c.pk, agent_id=a.pk, next_event=5, steps=[{"request_id":n.request_id.hex,"cost_nusd":7}], output=[{"id":f"fc_{fc.hex}","type":"function_call","call_id":"c1","name":"f","arguments":"{}","status":"completed"}])
        services.save(st, saved=0); t=Turn.objects.select_related("conversation").get(pk=t.pk)
    def boom(*_): raise RC("down")
    monkeypatch.setattr(leases,"take",boom)
    try: at.go_on(at.Asker(Rec(acme.code), uuid7()), a, t, [ToolOutput(call_id="c1", output="x")])
    except Exception as e: print("### go_on raised", type(e))
    with tenant_schema(acme.code): print("### go_on left", Turn.objects.get(pk=t.pk).status, Item.objects.filter(turn_id=t.pk).count())

def test_redis_away_longer_than_a_lease(own_redis: Any, acme: Any, settings: Any) -> None:
    settings.TURN_LEASE_S=4
    with tenant_schema(acme.code): t=services.begin(new())
    leases.take(acme.code, t.pk)
    os.kill(own_redis.pid, signal.SIGSTOP); time.sleep(6); os.kill(own_redis.pid, signal.SIGCONT)
    res=None
    for _ in range(200):
        try: res=healing.heal_all(); break
        except Exception as e: time.sleep(.01)
    with tenant_schema(acme.code): print("### live turn after outage: heal_all", res, "held here", (acme.code,t.pk) in leases._held, Turn.objects.get(pk=t.pk).status)
    leases.give_back(acme.code,t.pk)

def test_repeated_ids() -> None:
    s=TurnState(id=uuid7(), model="m", output=[{"type":"function_call","call_id":"f:0"},{"type":"function_call","call_id":"f:0"}], answered={"f:0"})
    print("### second pause with the same id waits for", s.pending_calls())

def test_mcp_quadratic() -> None:
    import io
    from agents.tools import http_tool, mcp
    from email.message import Message
    class Resp(io.BytesIO):
        @property
        def headers(self):
            m=Message(); m["Content-Type"]="text/event-stream"; return m
    for size in (4096,8192,16384,32768):
        r=Resp(b"\n"*size); t=time.time(); http_tool._read(r, lambda c: mcp._has_answer(c.decode(errors="replace"), 1)); print("### sse", size, round(time.time()-t,2),"s")
    ev=b'data: {"jsonrpc":"2.0","method":"n","params":{"a":"bbbbbbbbbbbbb"}}\n\n'
    r=Resp((ev*5000)[:262144]); t=time.time(); http_tool._read(r, lambda c: mcp._has_answer(c.decode(errors="replace"), 1)); print("### sse notes 256K", round(time.time()-t,2),"s")

def test_refs_count(acme: Any, django_assert_max_num_queries=None) -> None:
    from agents.responses.create import _resolved
    from agents.responses.params import ResponseParams
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    import resource
    with tenant_schema(acme.code):
        c=conversations.create_conversation(metadata={}, items=[message("x"*1_000_000)])
        i=Item.objects.get(conversation=c)
        p=ResponseParams.model_validate({"model":"m","input":[{"type":"item_reference","id":f"msg_{i.pk.hex}"}]*300})
        m0=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with CaptureQueriesContext(connection) as q:
            t=time.time(); items=_resolved(p)
        print("### refs: body bytes", 300*70, "queries", len(q), "s", round(time.time()-t,2), "rss +MB", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss-m0)//1024)
