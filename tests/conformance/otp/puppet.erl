%% SPDX-License-Identifier: MIT
%% A process that does what it is told, and tells everything that it sees. The operations here are the ones of
%% ../scenario.py; each has its twin in ../on_stanchion.py.
-module(puppet).

-export([plain/2, label/3, pid/2, log/4, log/3, reason/2, enter/2, ops/1, hears/1, start_child/2, spec/2]).
%% For puppet_elixir.
-export([event/2, ms/1, who/1, name/1, r/1, v/1, remember/2, recall/1, attempt/2, started/1, counts/1]).

%% --- labels and the trace ------------------------------------------------------------------------

%% Give a process its label, and have its end observed; returns the label with the number of its incarnation.
label(#{observer := Observer}, Pid, Label) ->
    Ref = make_ref(),
    Observer ! {label, self(), Ref, Pid, Label},
    receive {Ref, Text} -> Text end.

%% Become the process with this label.
enter(Ctx, Label) ->
    put(ctx, Ctx),
    put(label, label(Ctx, self(), Label)).

pid(#{table := Table}, Label) ->
    [{_, Pid}] = ets:lookup(Table, {label, Label}),
    Pid.

log(Kind, Format, Args) ->
    log(table(), Kind, get(label), io_lib:format(Format, Args)).

log(Table, Kind, Actor, Text) ->
    case ets:lookup(Table, step) of
        [{_, over}] -> ok;
        [{_, Step}] -> ets:insert(Table, {{event, erlang:unique_integer([monotonic])}, Step, Kind, Actor, Text})
    end.

event(Format, Args) -> log("event", Format, Args).

table() -> maps:get(table, get(ctx)).

remember(Key, Value) -> ets:insert(table(), {Key, Value}).

recall(Key) ->
    [{_, Value}] = ets:lookup(table(), Key),
    Value.

%% --- terms as text -------------------------------------------------------------------------------

r(Reason) -> reason(table(), Reason).

v(Value) -> value(table(), Value).

reason(Table, {Reason, {gen_server, call, _}}) -> reason(Table, Reason);
reason(Table, {Reason, {gen_statem, call, _}}) -> reason(Table, Reason);
reason(Table, {{callback_failed, _, _}, _}) -> reason(Table, {callback_failed, x, x});
reason(Table, {Reason, {sys, _, _}}) -> reason(Table, Reason);
reason(Table, {Reason, {'Elixir.GenServer', _, _}}) -> reason(Table, Reason);
reason(Table, {Reason, {'Elixir.Task', _, _}}) -> reason(Table, Reason);
reason(Table, {Reason, {'Elixir.Task.Supervised', _, _}}) -> reason(Table, Reason);
reason(Table, {shutdown, {failed_to_start_child, Id, Reason}}) ->
    ["failed_to_start_child ", value(Table, Id), " ", reason(Table, Reason)];
reason(_Table, {already_started, _}) -> "already_started";
reason(_Table, {bad_combination, _}) -> "bad_spec";
reason(Table, {'EXIT', Reason}) -> reason(Table, Reason);
reason(_Table, {callback_failed, _, _}) -> "callback_failed";
reason(_Table, {bad_return_value, _}) -> "bad_return_value";
reason(_Table, {{bad_return_value, _}, Stack}) when is_list(Stack) -> "bad_return_value";
reason(Table, {#{'__exception__' := true, '__struct__' := Name}, Stack}) when is_list(Stack) ->
    ["crash(", value(Table, Name), ")"];
reason(Table, {What, Stack}) when is_list(Stack) ->
    ["crash(", value(Table, What), ")"];
reason(Table, Reason) -> value(Table, Reason).


value(Table, Pid) when is_pid(Pid) ->
    case ets:lookup(Table, {pid, Pid}) of [] -> "?"; [{_, Text}] -> Text end;
value(Table, Tuple) when is_tuple(Tuple) ->
    ["{", lists:join(",", [value(Table, Item) || Item <- tuple_to_list(Tuple)]), "}"];
value(Table, List) when is_list(List) ->
    ["[", lists:join(",", [value(Table, Item) || Item <- List]), "]"];
value(Table, nil) -> value(Table, undefined);
value(_Table, Value) when is_reference(Value) -> "ref";
value(_Table, Value) -> io_lib:format("~s", [unquoted(Value)]).

unquoted(Value) when is_atom(Value) -> atom_to_list(Value);
unquoted(Value) -> io_lib:format("~w", [Value]).

%% --- the plain process ---------------------------------------------------------------------------

plain(Ctx, Options) ->
    receive '$go' -> ok end,
    put(ctx, Ctx),
    [{_, Label}] = ets:lookup(table(), {pid, self()}),
    put(label, Label),
    process_flag(trap_exit, maps:get(trap, Options, false)),
    case ops(maps:get(does, Options, [])) of
        none -> plain_loop();
        _ -> ok
    end.

plain_loop() ->
    receive
        {'$do', Ops} ->
            case ops(Ops) of
                none -> plain_loop();
                _ -> ok
            end;
        {'$gen_call', From, {Tag, _}} ->
            event("hears ~s", [v(Tag)]),
            remember({from, Tag}, From),
            plain_loop();
        {'$gen_cast', {Tag, _}} ->
            event("hears ~s", [v(Tag)]),
            plain_loop();
        Message ->
            hears(Message),
            plain_loop()
    end.

hears({'DOWN', Ref, process, Who, Reason}) ->
    Tag = case ets:lookup(table(), {monitor, Ref}) of [] -> undefined; [{_, Known}] -> Known end,
    Text = case Who of {Name, _Node} -> ["name ", short(Name)]; _ -> v(Who) end,
    case Tag of
        undefined -> event("down ~s ~s", [Text, r(Reason)]);
        _ -> event("down(~s) ~s ~s", [Tag, Text, r(Reason)])
    end;
hears({'EXIT', Pid, Reason}) ->
    event("exit ~s ~s", [v(Pid), r(Reason)]);
hears({Ref, What, Group, Pids}) when is_reference(Ref), What =:= join orelse What =:= leave ->
    event("~s(~s) ~s ~s", [What, recall({monitor, Ref}), v(Group), sorted(Pids)]);
hears({register, Registry, Key, Pid, Value}) when is_atom(Registry) ->
    event("registered ~s ~s ~s", [v(Key), v(Pid), v(Value)]);
hears({unregister, Registry, Key, Pid}) when is_atom(Registry) ->
    event("unregistered ~s ~s", [v(Key), v(Pid)]);
hears({timeout, Ref, Message}) when is_reference(Ref) ->
    event("hears timeout ~s", [v(Message)]);
hears(Message) ->
    event("hears ~s", [v(Message)]).

%% --- addresses -----------------------------------------------------------------------------------

who({name, Name}) -> name(Name);
who({via, Registry, Key}) -> {via, 'Elixir.Registry', {name(Registry), Key}};
who({partition, Supervisor, Key}) -> {via, 'Elixir.PartitionSupervisor', {name(Supervisor), Key}};
who(Label) -> pid(get(ctx), Label).

%% Names are the emulator's; each scenario has its own.
name(Name) -> name(get(ctx), Name).

name(#{name := Scenario}, Name) ->
    list_to_atom(atom_to_list(Scenario) ++ "/" ++ atom_to_list(Name)).

%% How a server is told its name.
holds(Ctx, {via, Registry, Key}) -> {via, 'Elixir.Registry', {name(Ctx, Registry), Key}};
holds(Ctx, Name) -> {local, name(Ctx, Name)}.

short(Name) ->
    lists:last(string:split(atom_to_list(Name), "/", trailing)).

%% Times of a scenario that is tried again on a busy machine are multiplied.
ms(Ms) -> ms(get(ctx), Ms).

ms(#{scale := Scale}, Ms) when is_integer(Ms) -> Ms * Scale;
ms(_Ctx, Word) -> Word.

why({crash, What}) -> {What, []};
why(Reason) -> Reason.

%% --- operations ----------------------------------------------------------------------------------

%% Run operations until one of them says what the callback returns, or that the process is done.
ops([]) -> none;
ops([Op | Ops]) ->
    case op(Op) of
        {return, _} = Return -> Return;
        _ -> ops(Ops)
    end.

op({all, Ops}) -> ops(Ops);
op({poke, Who, Op}) ->
    case ets:lookup(table(), {label, Who}) of
        [] -> ok;
        [{_, Pid}] when element(1, Op) =:= exit -> exit(Pid, why(element(3, Op)));
        [{_, Pid}] -> Pid ! {'$do', [Op]}
    end;

%% Processes
op({spawn, Label, How, Options}) ->
    Ctx = get(ctx),
    Body = fun() -> plain(Ctx, Options) end,
    Pid = case How of
        alone -> spawn(Body);
        link -> spawn_link(Body);
        monitor ->
            {Spawned, Ref} = spawn_monitor(Body),
            remember({monitor, Ref}, undefined),
            Spawned
    end,
    label(Ctx, Pid, Label),
    Pid ! '$go';
op({link, Who}) -> link(who(Who));
op({unlink, Who}) -> unlink(who(Who));
op({monitor, Who, Tag}) ->
    Ref = monitor(process, who(Who)),
    remember({monitor, Ref}, Tag),
    remember({tag, get(label), Tag}, Ref);
op({demonitor, Tag}) ->
    demonitor(recall({tag, get(label), Tag}), [flush]);
op({exit, Who, Reason}) -> exit(who(Who), why(Reason));
op({trap, On}) -> process_flag(trap_exit, On);
op({send, Who, Message}) ->
    try who(Who) ! Message catch error:badarg -> event("send -> badarg", []) end;
op({raise, What}) -> erlang:error(What);
op({leave, Reason}) -> exit(why(Reason));
op({finish}) -> {return, finish};
op({sleep, Ms}) -> timer:sleep(ms(Ms));
op({note, Text}) -> event("~s", [v(Text)]);
op({alive, Who}) -> event("alive ~s -> ~s", [Who, is_process_alive(who(Who))]);
op({register, Name, Who}) ->
    Result = try register(name(Name), who(Who)), ok catch error:badarg -> badarg end,
    event("register ~s -> ~s", [Name, Result]);
op({unregister, Name}) ->
    Result = try unregister(name(Name)), ok catch error:badarg -> badarg end,
    event("unregister ~s -> ~s", [Name, Result]);
op({whereis, Name}) ->
    event("whereis ~s -> ~s", [Name, v(whereis(name(Name)))]);

%% Timers
op({send_after, Timer, Who, Message, Ms}) ->
    remember({timer, Timer}, erlang:send_after(ms(Ms), who(Who), Message));
op({cancel, Timer}) ->
    event("cancel ~s -> ~s", [Timer, left(erlang:cancel_timer(recall({timer, Timer})))]);
op({read, Timer}) ->
    event("read ~s -> ~s", [Timer, left(erlang:read_timer(recall({timer, Timer})))]);

%% Servers
op({start, Label, How, Options}) ->
    Args = {get(ctx), Label, Options},
    Opts = [{timeout, ms(maps:get(timeout, Options, infinity))}],
    Start = case How of alone -> start; link -> start_link end,
    Result = case Options of
        #{name := Name} -> gen_server:Start(holds(get(ctx), Name), puppet_server, Args, Opts);
        _ -> gen_server:Start(puppet_server, Args, Opts)
    end,
    event("start ~s -> ~s", [Label, started(Result)]);
op({call, Who, Tag, Does, Timeout}) ->
    attempt(["call ", v(Tag)], fun() -> v(gen_server:call(who(Who), {Tag, Does}, ms(Timeout))) end);
op({cast, Who, Tag, Does}) -> gen_server:cast(who(Who), {Tag, Does});
op({keep, Key}) -> remember({from, Key}, get(from));
op({reply, Key, Value}) -> gen_server:reply(recall({from, Key}), Value);
op({stop, Who, Reason, Timeout}) ->
    attempt("stop", fun() -> v(gen_server:stop(who(Who), why(Reason), ms(Timeout))) end);
op({abcast, Names, Tag, Does}) ->
    gen_server:abcast([node()], name(hd(Names)), {Tag, Does});

%% What a callback returns
op({answer, Value}) -> {return, {reply, Value}};
op({answer_and_stop, Value, Reason}) -> {return, {reply, Value, {stop, why(Reason)}}};
op({answer_and_continue, Value, Ops}) -> {return, {reply, Value, {continue, Ops}}};
op({answer_and_idle, Value, Ms}) -> {return, {reply, Value, {timeout, ms(Ms)}}};
op({no_answer}) -> {return, noreply};
op({stops, Reason}) -> {return, {stop, why(Reason)}};
op({continues, Ops}) -> {return, {continue, Ops}};
op({idles, Ms}) -> {return, {timeout, ms(Ms)}};
op({ignores}) -> {return, ignore};
op({rubbish}) -> {return, rubbish};
op({unknown}) -> {return, unknown};

%% State machines
op({machine, Label, How, Options}) ->
    Args = {get(ctx), Label, Options},
    Result = case How of
        alone -> gen_statem:start(puppet_statem, Args, []);
        link -> gen_statem:start_link(puppet_statem, Args, [])
    end,
    Text = case Result of {error, Reason} -> {error, puppet_statem:crash(Reason)}; _ -> Result end,
    event("machine ~s -> ~s", [Label, started(Text)]);
op({in, ByState}) -> ops(maps:get(get(state), ByState, []));
op({goto, State, Actions}) -> {return, {goto, State, Actions}};
op({keep_state, Actions}) -> {return, {keep_state, Actions}};
op({repeat, Actions}) -> {return, {repeat, Actions}};
op({stop_and_reply, Reason, Value}) -> {return, {stop_and_reply, why(Reason), Value}};

%% Supervisors
op({supervisor, Label, How, Flags, Children}) ->
    Result = supervisor:start_link(puppet_supervisor, {get(ctx), Label, Flags, Children}),
    case {How, Result} of
        {alone, {ok, Pid}} -> unlink(Pid);
        {alone, {error, Reason}} -> receive {'EXIT', _, Reason} -> ok after 0 -> ok end;
        _ -> ok
    end,
    event("supervisor ~s -> ~s", [Label, started(Result)]);
op({start_child, Who, Child}) ->
    Start = fun() -> started(supervisor:start_child(who(Who), spec(get(ctx), Child))) end,
    attempt(["start_child ", v(maps:get(id, Child))], Start);
op({terminate_child, Who, Id}) ->
    attempt(["terminate_child ", v(Id)], fun() -> done(supervisor:terminate_child(who(Who), Id)) end);
op({restart_child, Who, Id}) ->
    attempt(["restart_child ", v(Id)], fun() -> started(supervisor:restart_child(who(Who), Id)) end);
op({delete_child, Who, Id}) ->
    attempt(["delete_child ", v(Id)], fun() -> done(supervisor:delete_child(who(Who), Id)) end);
op({children, Who}) ->
    attempt("children", fun() -> infos(lists:sort(supervisor:which_children(who(Who)))) end);
op({children_in_order, Who}) ->
    attempt("children_in_order", fun() -> infos(supervisor:which_children(who(Who))) end);
op({count, Who}) ->
    attempt("count", fun() -> counts(supervisor:count_children(who(Who))) end);

%% sys
op({get_state, Who}) ->
    attempt("get_state", fun() -> v(maps:get(value, sys:get_state(who(Who)), undefined)) end);
op({replace_state, Who, Value}) ->
    Replace = fun(State) -> State#{value => Value} end,
    attempt("replace_state", fun() -> v(maps:get(value, sys:replace_state(who(Who), Replace))) end);
op({replace_state_badly, Who}) ->
    attempt("replace_state", fun() -> v(sys:replace_state(who(Who), fun(_) -> erlang:error(boom) end)) end);
op({suspend, Who}) -> attempt("suspend", fun() -> v(sys:suspend(who(Who))) end);
op({resume, Who}) -> attempt("resume", fun() -> v(sys:resume(who(Who))) end);
op({status, Who}) ->
    attempt("status", fun() ->
        {status, _, _, [_, State | _]} = sys:get_status(who(Who)),
        v(State)
    end);

%% pg
op({scope, Label}) ->
    {ok, Pid} = pg:start_link(name(Label)),
    label(get(ctx), Pid, Label);
op({join, Scope, Group, Members}) ->
    event("join ~s -> ~s", [v(Group), v(pg:join(name(Scope), Group, [who(Who) || Who <- Members]))]);
op({part, Scope, Group, Members}) ->
    event("leave ~s -> ~s", [v(Group), v(pg:leave(name(Scope), Group, [who(Who) || Who <- Members]))]);
op({members, Scope, Group}) ->
    event("members ~s -> ~s", [v(Group), sorted(pg:get_members(name(Scope), Group))]);
op({groups, Scope}) ->
    event("groups -> ~s", [v(lists:sort(pg:which_groups(name(Scope))))]);
op({watch_group, Scope, Group, Tag}) ->
    {Ref, Members} = pg:monitor(name(Scope), Group),
    remember({monitor, Ref}, Tag),
    remember({tag, get(label), Tag}, Ref),
    event("watch ~s -> ~s", [v(Group), sorted(Members)]);
op({watch_scope, Scope, Tag}) ->
    {Ref, _} = pg:monitor_scope(name(Scope)),
    remember({monitor, Ref}, Tag),
    remember({tag, get(label), Tag}, Ref);
op({unwatch_group, Scope, Tag}) ->
    pg:demonitor(name(Scope), recall({tag, get(label), Tag}));

op(Op) ->
    puppet_elixir:op(Op).

sorted(Pids) -> v(lists:sort([list_to_atom(lists:flatten(v(Pid))) || Pid <- Pids])).

attempt(What, Function) ->
    Result = try Function()
    catch
        exit:Reason -> ["exit ", r(Reason)];
        error:{callback_failed, _, _} -> "exit callback_failed";
        error:#{'__exception__' := true, message := <<"reached the maximum number", _/binary>>} -> "error max_children"
    end,
    event("~s -> ~s", [What, Result]).

left(false) -> "gone";
left(_Ms) -> "left".

done(ok) -> "ok";
done({error, Reason}) -> ["error ", r(Reason)].

started({ok, undefined}) -> "ignore";
started({ok, Pid}) -> ["ok ", v(Pid)];
started(ignore) -> "ignore";
started({error, {already_started, Pid}}) -> ["error already_started ", v(Pid)];
%% supervisor:start_child/2 tells the child beside the reason
started({error, {Reason, Child}}) when element(1, Child) =:= child -> ["error ", r(Reason)];
started({error, Reason}) -> ["error ", r(Reason)].

infos(Children) -> lists:join(", ", [info(Child) || Child <- Children]).

info({Id, Child, Type, _Modules}) ->
    Worker = case Type of worker -> ""; supervisor -> " (supervisor)" end,
    [v(Id), ": ", case Child of undefined -> "stopped"; _ -> v(Child) end, Worker].

counts(Counts) ->
    lists:join(" ", [io_lib:format("~s=~b", [Key, proplists:get_value(Key, Counts)])
                     || Key <- [specs, active, supervisors, workers]]).

%% --- children ------------------------------------------------------------------------------------

spec(Ctx, #{id := Id} = Child) ->
    Keys = [restart, shutdown, type, significant],
    Spec = maps:merge(#{id => Id, start => {?MODULE, start_child, [Ctx, Child]}}, maps:with(Keys, Child)),
    case Spec of
        #{shutdown := Shutdown} -> Spec#{shutdown := ms(Ctx, Shutdown)};
        _ -> Spec
    end.

%% Runs in the supervisor.
start_child(Ctx, #{kind := server, id := Id} = Child) ->
    case Child of
        #{name := Name} -> gen_server:start_link(holds(Ctx, Name), puppet_server, {Ctx, Id, Child}, []);
        _ -> gen_server:start_link(puppet_server, {Ctx, Id, Child}, [])
    end;
start_child(Ctx, #{kind := plain, id := Id} = Child) ->
    Pid = spawn_link(fun() -> plain(Ctx, Child) end),
    label(Ctx, Pid, Id),
    Pid ! '$go',
    {ok, Pid};
start_child(Ctx, #{kind := supervisor, id := Id, flags := Flags, children := Children}) ->
    supervisor:start_link(puppet_supervisor, {Ctx, Id, Flags, Children}).
