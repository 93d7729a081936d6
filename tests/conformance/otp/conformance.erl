%% SPDX-License-Identifier: MIT
%% Runs scenarios on Erlang/OTP and writes down what happened. See ../scenario.py for what a scenario is.
%%
%% The emulator runs with one scheduler, so that nothing happens while this module looks: after a step it looks at the
%% scenario's processes, lets everybody have some turns, and looks again, until all wait and nothing has changed. A
%% scenario's processes are those that have its observer for their group leader, which is inherited.
-module(conformance).

-export([main/1]).

%% All steps of a scenario together may take this many milliseconds longer than they say. Else the machine was too busy
%% for its times to mean anything, and it is run again in the next round.
-define(LATE, 40).

%% The rounds of those in which time passes: how many run at once, and by what their times are multiplied.
-define(ROUNDS, [{16, 1}, {8, 1}, {4, 2}, {2, 2}, {2, 4}, {1, 4}, {1, 8}, {1, 8}, {1, 16}]).

main([Input, Output]) ->
    ok = logger:set_primary_config(level, none),
    Elixir = application:ensure_all_started(elixir),
    preload(element(1, Elixir) =:= ok),
    {ok, Scenarios} = file:consult(Input),
    {Timed, Untimed} = lists:partition(fun takes_time/1, Scenarios),
    {Traces, []} = run_all(1, 1, Untimed),
    ok = file:write_file(Output, unicode:characters_to_binary([Traces | rounds(?ROUNDS, Timed)])),
    halt(0).

rounds([], Late) ->
    [line(Name, {0, "event", "test", "late in each of many tries: this machine is too busy"}) || {Name, _} <- Late];
rounds([{AtOnce, Scale} | Rounds], Scenarios) ->
    {Traces, Late} = run_all(AtOnce, Scale, Scenarios),
    [Traces | rounds(Rounds, Late)].

%% Loading a module in the middle of a scenario would make it wait for processes that are not its own.
preload(Elixir) ->
    Otp = [supervisor, gen_server, gen_statem, gen, proc_lib, sys, pg,
           puppet, puppet_server, puppet_supervisor, puppet_statem, puppet_elixir, lists, maps, ets, string, proplists, io_lib, timer, logger, error_logger],
    Names = ["DynamicSupervisor", "PartitionSupervisor", "Task", "Task.Supervisor", "Task.Supervised", "Registry",
             "Registry.Supervisor", "Registry.Partition", "Agent", "Agent.Server", "GenServer", "Supervisor", "Enum",
             "Stream", "Keyword", "Process", "Kernel", "Access", "List", "Map", "Enumerable", "Exception",
             "Supervisor.Default", "Enumerable.List", "Enumerable.Function", "Task.Supervisor.Stream", "System"],
    Modules = Otp ++ [list_to_atom("Elixir." ++ Name) || Elixir, Name <- Names],
    lists:foreach(fun code:ensure_loaded/1, Modules).

takes_time({_Name, Steps}) ->
    lists:any(fun(Step) -> lists:member(element(1, Step), [advance, align]) end, Steps).

%% --- many scenarios ------------------------------------------------------------------------------

%% Run scenarios; return the traces, and the scenarios that were late.
run_all(AtOnce, Scale, Scenarios) ->
    {Now, Later} = lists:split(min(AtOnce, length(Scenarios)), Scenarios),
    [start(Scenario, Scale) || Scenario <- Now],
    collect(length(Now), Scale, Later, {[], []}).

start(Scenario, Scale) ->
    Parent = self(),
    spawn_link(fun() -> Parent ! {ran, Scenario, ran(Scenario, Scale)} end).

collect(0, _Scale, [], Results) ->
    Results;
collect(Running, Scale, Later, {Traces, Late}) ->
    receive
        {ran, Scenario, Result} ->
            Results = case Result of
                late -> {Traces, [Scenario | Late]};
                Trace -> {[Trace | Traces], Late}
            end,
            case Later of
                [] ->
                    collect(Running - 1, Scale, [], Results);
                [Next | Rest] ->
                    start(Next, Scale),
                    collect(Running, Scale, Rest, Results)
            end
    end.

ran({Name, _} = Scenario, Scale) ->
    try run(Scenario, Scale)
    catch
        Class:Reason:Stack ->
            Text = io_lib:format("the runner failed: ~w:~w ~w", [Class, Reason, hd(Stack)]),
            [line(Name, {0, "event", "test", Text})]
    end.

%% --- one scenario --------------------------------------------------------------------------------

run({Name, Steps} = Scenario, Wanted) ->
    %% The seconds in which supervisors count are what they are.
    Scale = case lists:keymember(align, 1, Steps) of true -> 1; false -> Wanted end,
    Table = ets:new(scenario, [ordered_set, public]),
    Observer = spawn_link(fun() -> receive start -> observe(Table) end end),
    Ctx = #{name => Name, table => Table, observer => Observer, scale => Scale},
    Observer ! start,
    ets:insert(Table, {step, 0}),
    Timed = takes_time(Scenario),
    Root = spawn(fun() -> puppet:plain(Ctx, #{trap => true}) end),
    group_leader(Observer, Root),
    puppet:label(Ctx, Root, test),
    Root ! '$go',
    Late = take(Ctx, Timed, 1, Steps, 0),
    ets:insert(Table, {step, over}),
    clean_up(Observer),
    unlink(Observer),
    exit(Observer, kill),
    Events = [{Step, Kind, Actor, Text} || {{event, _}, Step, Kind, Actor, Text} <- ets:tab2list(Table)],
    ets:delete(Table),
    case Timed andalso Late > ?LATE * Scale of
        true -> late;
        false -> [line(Name, Event) || Event <- Events]
    end.

line(Name, {Step, Kind, Actor, Text}) ->
    io_lib:format("~s\t~b\t~s\t~s\t~ts~n", [Name, Step, Kind, Actor, Text]).

take(_Ctx, _Timed, _Number, [], Late) ->
    Late;
take(#{table := Table} = Ctx, Timed, Number, [Step | Steps], Late) ->
    ets:insert(Table, {step, Number}),
    Start = now_ms(),
    Expected = step(Ctx, Step),
    settle(Ctx, Timed),
    Longer = case Expected of any -> 0; _ -> now_ms() - Start - Expected end,
    take(Ctx, Timed, Number + 1, Steps, Late + Longer).

%% Return how many milliseconds the step was to take.
step(#{scale := Scale}, {advance, Ms}) ->
    timer:sleep(Ms * Scale),
    Ms * Scale;
step(_Ctx, {align}) ->
    %% To the beginning of a second of the clock by which a supervisor counts restarts.
    Now = erlang:monotonic_time(millisecond),
    timer:sleep(1005 - ((Now rem 1000) + 1000) rem 1000),
    any;
step(Ctx, {Actor, Op}) ->
    puppet:pid(Ctx, Actor) ! {'$do', [Op]},
    0.

now_ms() -> erlang:monotonic_time(millisecond).

%% --- when all is quiet ---------------------------------------------------------------------------

settle(Ctx, Timed) ->
    settle(Ctx, Timed, look(Ctx), 0, now_ms() + 5000).

settle(Ctx, true, _Look, 3, Until) ->
    timer:sleep(2), % a timer of 0 ms goes off at the next tick
    settle(Ctx, false, look(Ctx), 0, Until);
settle(_Ctx, false, _Look, 3, _Until) ->
    ok;
settle(#{table := Table} = Ctx, Timed, Last, Same, Until) ->
    [erlang:yield() || _ <- lists:seq(1, 10)],
    Look = look(Ctx),
    Quiet = Look =:= Last andalso lists:all(fun({_, Info}) -> waits(Info) end, Look),
    case now_ms() > Until of
        true -> puppet:log(Table, "event", "test", "never quiet");
        false when Quiet -> settle(Ctx, Timed, Look, Same + 1, Until);
        false -> settle(Ctx, Timed, Look, 0, Until)
    end.

waits(undefined) -> false;
waits([{status, Status} | _]) -> lists:member(Status, [waiting, suspended]).

look(#{observer := Observer}) ->
    %% Somebody may be waiting for a module to be loaded after all.
    Loading = [whereis(code_server), whereis(erl_prim_loader)],
    Pids = [Observer | Loading] ++ own(Observer),
    [{Pid, process_info(Pid, [status, reductions, message_queue_len])} || Pid <- Pids].

own(Observer) ->
    [Pid || Pid <- processes(), process_info(Pid, group_leader) =:= {group_leader, Observer}].

clean_up(Observer) ->
    case own(Observer) of
        [] -> ok;
        Left ->
            [exit(Pid, kill) || Pid <- Left],
            erlang:yield(),
            clean_up(Observer)
    end.

%% --- who ends ------------------------------------------------------------------------------------

observe(Table) ->
    receive
        {label, From, Ref, Pid, Label} ->
            monitor(process, Pid),
            Count = case ets:lookup(Table, {count, Label}) of [] -> 1; [{_, Before}] -> Before + 1 end,
            Text = case Count of 1 -> atom_to_list(Label); _ -> io_lib:format("~s#~b", [Label, Count]) end,
            ets:insert(Table, [{{count, Label}, Count}, {{label, Label}, Pid}, {{pid, Pid}, lists:flatten(Text)}]),
            From ! {Ref, lists:flatten(Text)};
        {'DOWN', _Ref, process, Pid, Reason} ->
            [{_, Text}] = ets:lookup(Table, {pid, Pid}),
            puppet:log(Table, "event", Text, ["exits ", puppet:reason(Table, Reason)]);
        {io_request, From, ReplyAs, _} ->
            From ! {io_reply, ReplyAs, ok};
        _ ->
            ok
    end,
    observe(Table).
