%% SPDX-License-Identifier: MIT
%% What a puppet does with Elixir's modules: DynamicSupervisor, PartitionSupervisor, Task.Supervisor, Registry, Agent.
-module(puppet_elixir).

-export([op/1]).

-import(puppet, [event/2, ms/1, who/1, name/1, r/1, v/1, remember/2, recall/1, attempt/2, started/1, counts/1]).

-define(DYNAMIC, 'Elixir.DynamicSupervisor').
-define(PARTITIONS, 'Elixir.PartitionSupervisor').
-define(TASKS, 'Elixir.Task.Supervisor').
-define(TASK, 'Elixir.Task').
-define(REGISTRY, 'Elixir.Registry').
-define(AGENT, 'Elixir.Agent').

labelled(What, Label, {ok, Pid}) ->
    puppet:label(get(ctx), Pid, Label),
    event("~s ~s -> ok", [What, Label]);
labelled(What, Label, {error, Reason} = Error) ->
    %% The test is about the error; that a linked start brings an exit signal too is another one's.
    receive {'EXIT', _, Reason} -> ok after 0 -> ok end,
    event("~s ~s -> ~s", [What, Label, started(Error)]).

%% DynamicSupervisor
op({dynamic, Label, Options}) ->
    labelled("dynamic", Label, ?DYNAMIC:start_link([{strategy, one_for_one} | maps:to_list(Options)]));
op({dynamic_start, Who, Child}) ->
    Start = fun() -> started(?DYNAMIC:start_child(who(Who), puppet:spec(get(ctx), Child))) end,
    attempt(["start_child ", v(maps:get(id, Child))], Start);
op({dynamic_terminate, Who, Child}) ->
    attempt(["terminate_child ", v(Child)], fun() -> done(?DYNAMIC:terminate_child(who(Who), who(Child))) end);
op({dynamic_children, Who}) ->
    attempt("children", fun() -> infos(?DYNAMIC:which_children(who(Who))) end);
op({dynamic_count, Who}) ->
    attempt("count", fun() -> counts(maps:to_list(?DYNAMIC:count_children(who(Who)))) end);

%% PartitionSupervisor
op({partitions, Label, Count, Child, Options}) ->
    Given = [{child_spec, puppet:spec(get(ctx), Child)}, {partitions, Count}, {name, name(Label)}],
    labelled("partitions", Label, ?PARTITIONS:start_link(Given ++ maps:to_list(Options)));
op({partition_children, Label}) ->
    attempt("children", fun() -> partitions(lists:sort(?PARTITIONS:which_children(name(Label)))) end);
op({partition_count, Label}) ->
    attempt("count", fun() -> counts(maps:to_list(?PARTITIONS:count_children(name(Label)))) end);
op({how_many_partitions, Label}) ->
    attempt("partitions", fun() -> v(?PARTITIONS:partitions(name(Label))) end);

%% Task.Supervisor
op({tasks, Label, Options}) ->
    labelled("tasks", Label, ?TASKS:start_link(maps:to_list(Options)));
op({async, Who, Label, How, Ops}) ->
    Ctx = get(ctx),
    Function = fun() -> task(Ctx, Label, Ops) end,
    attempt(["async ", v(Label)], fun() ->
        Task = case How of
            link -> ?TASKS:async(who(Who), Function);
            nolink -> ?TASKS:async_nolink(who(Who), Function)
        end,
        remember({task, Label}, Task),
        wait_for_label(maps:get(pid, Task)),
        "ok"
    end);
op({await, Label, Ms}) ->
    attempt(["await ", v(Label)], fun() -> v(?TASK:await(recall({task, Label}), ms(Ms))) end);
op({await_many, Labels, Ms}) ->
    attempt("await_many", fun() -> v(?TASK:await_many([recall({task, Label}) || Label <- Labels], ms(Ms))) end);
op({yields, Label, Ms}) ->
    attempt(["yield ", v(Label)], fun() -> outcome(?TASK:yield(recall({task, Label}), ms(Ms))) end);
op({yield_many, Labels, Ms}) ->
    Tasks = [recall({task, Label}) || Label <- Labels],
    attempt("yield_many", fun() -> lists:join(", ", [outcome(O) || {_, O} <- ?TASK:yield_many(Tasks, ms(Ms))]) end);
op({task_shutdown, Label, How}) ->
    attempt(["shutdown ", v(Label)], fun() -> outcome(?TASK:shutdown(recall({task, Label}), ms(How))) end);
op({task_ignore, Label}) ->
    attempt(["ignore ", v(Label)], fun() -> outcome(?TASK:ignore(recall({task, Label}))) end);
op({stream, Who, How, Items, Options}) ->
    Ctx = get(ctx),
    Given = maps:to_list(maps:map(fun(timeout, Ms) -> ms(Ms); (_, Value) -> Value end, Options)),
    Function = fun({Label, Ops}) -> task(Ctx, Label, Ops) end,
    Stream = case How of
        link -> ?TASKS:async_stream(who(Who), Items, Function, Given);
        nolink -> ?TASKS:async_stream_nolink(who(Who), Items, Function, Given)
    end,
    attempt("stream", fun() ->
        'Elixir.Enum':each(Stream, fun(Outcome) -> event("got ~s", [outcome(Outcome)]) end),
        "done"
    end);

%% Registry
op({registry, Label, Keys, Listeners}) ->
    Given = [{keys, Keys}, {name, name(Label)}, {listeners, [name(Name) || Name <- Listeners]}],
    labelled("registry", Label, ?REGISTRY:start_link(Given));
op({enroll, Registry, Key, Value}) ->
    Text = case ?REGISTRY:register(name(Registry), Key, Value) of
        {ok, _} -> "ok";
        {error, {already_registered, Pid}} -> ["error already_registered ", v(Pid)]
    end,
    event("register ~s -> ~s", [v(Key), Text]);
op({withdraw, Registry, Key}) ->
    event("unregister ~s -> ~s", [v(Key), v(?REGISTRY:unregister(name(Registry), Key))]);
op({withdraw_match, Registry, Key, Value}) ->
    event("unregister_match ~s -> ~s", [v(Key), v(?REGISTRY:unregister_match(name(Registry), Key, Value))]);
op({lookup, Registry, Key}) ->
    event("lookup ~s -> ~s", [v(Key), v(?REGISTRY:lookup(name(Registry), Key))]);
op({match, Registry, Key, Value}) ->
    event("match ~s -> ~s", [v(Key), v(?REGISTRY:match(name(Registry), Key, Value))]);
op({count_match, Registry, Key, Value}) ->
    event("count_match ~s -> ~s", [v(Key), v(?REGISTRY:count_match(name(Registry), Key, Value))]);
op({keys_of, Registry, Who}) ->
    event("keys ~s -> ~s", [v(Who), v(?REGISTRY:keys(name(Registry), who(Who)))]);
op({values_of, Registry, Key, Who}) ->
    event("values ~s -> ~s", [v(Key), v(?REGISTRY:values(name(Registry), Key, who(Who)))]);
op({entries, Registry}) ->
    event("count -> ~s", [v(?REGISTRY:count(name(Registry)))]);
op({update_value, Registry, Key, New}) ->
    event("update_value ~s -> ~s", [v(Key), v(?REGISTRY:update_value(name(Registry), Key, fun(_) -> New end))]);
op({dispatch, Registry, Key, Message}) ->
    Send = fun(Entries) -> [Pid ! Message || {Pid, _} <- Entries] end,
    event("dispatch ~s -> ~s", [v(Key), v(?REGISTRY:dispatch(name(Registry), Key, Send))]);
op({put_meta, Registry, Key, Value}) ->
    event("put_meta ~s -> ~s", [v(Key), v(?REGISTRY:put_meta(name(Registry), Key, Value))]);
op({meta, Registry, Key}) ->
    Text = case ?REGISTRY:meta(name(Registry), Key) of {ok, Value} -> v(Value); error -> "undefined" end,
    event("meta ~s -> ~s", [v(Key), Text]);

%% Agent
op({holder, Label, Value}) ->
    labelled("holder", Label, ?AGENT:start_link(fun() -> Value end));
op({holder_get, Who}) ->
    attempt("get", fun() -> v(?AGENT:get(who(Who), fun(State) -> State end)) end);
op({holder_add, Who, Number}) ->
    attempt("update", fun() -> v(?AGENT:update(who(Who), fun(State) -> State + Number end)) end);
op({holder_swap, Who, New}) ->
    attempt("get_and_update", fun() -> v(?AGENT:get_and_update(who(Who), fun(State) -> {State, New} end)) end);
op({holder_cast, Who, Number}) ->
    ?AGENT:cast(who(Who), fun(State) -> State + Number end);
op({holder_crash, Who}) ->
    attempt("update", fun() -> v(?AGENT:update(who(Who), fun(_) -> erlang:error(boom) end)) end);
op({holder_rubbish, Who}) ->
    attempt("get_and_update", fun() -> v(?AGENT:get_and_update(who(Who), fun(_) -> rubbish end)) end);
op({holder_slow, Who, Ms, Timeout}) ->
    Slow = ms(Ms),
    attempt("get", fun() -> v(?AGENT:get(who(Who), fun(State) -> timer:sleep(Slow), State end, ms(Timeout))) end).

%% The owner goes on when the task is known, lest it ends the task before that.
wait_for_label(Pid) ->
    case v(Pid) of
        "?" ->
            erlang:yield(),
            wait_for_label(Pid);
        _ -> ok
    end.

task(Ctx, Label, Ops) ->
    puppet:enter(Ctx, Label),
    case puppet:ops(Ops) of
        none -> ok;
        {return, {reply, Value}} -> Value
    end.

outcome(nil) -> "nothing";
outcome({ok, Value}) -> ["ok ", v(Value)];
outcome({exit, Reason}) -> ["exit ", r(Reason)].

done(ok) -> "ok";
done({error, Reason}) -> ["error ", r(Reason)].

infos(Children) ->
    lists:join(", ", lists:sort([lists:flatten(info(Child, Type)) || {undefined, Child, Type, _} <- Children])).

info(Child, worker) -> v(Child);
info(Child, supervisor) -> [v(Child), " (supervisor)"].

partitions(Children) ->
    lists:join(", ", [[v(Id), ": ", v(Child)] || {Id, Child, _, _} <- Children]).
