%% SPDX-License-Identifier: MIT
%% Runs the machines in a file on gen_statem, and writes what each was told as one line.
-module(machine).
-behaviour(gen_statem).
-export([main/1]).
-export([init/1, callback_mode/0, handle_event/4]).

main([Given, Traces]) ->
    logger:set_primary_config(level, none),
    {ok, Machines} = file:consult(Given),
    {ok, File} = file:open(Traces, [write]),
    [io:format(File, "~s~n", [lists:join(";", run(Machine))]) || Machine <- Machines],
    halt(0).

run({Enter, Results, First, Messages}) ->
    {ok, Pid} = gen_statem:start(?MODULE, {self(), Enter, Results, First}, []),
    %% So that all messages are in the mailbox when the first one is handled.
    sys:suspend(Pid),
    [gen_statem:cast(Pid, Message) || Message <- Messages],
    sys:resume(Pid),
    sys:get_state(Pid),
    exit(Pid, kill),
    told().

told() ->
    receive {told, Event} -> [Event | told()] after 0 -> [] end.

init({Teller, Enter, Results, First}) ->
    put(enter, Enter),
    put(results, Results),
    {ok, a, Teller, First}.

callback_mode() ->
    case get(enter) of
        true -> [handle_event_function, state_enter];
        false -> handle_event_function
    end.

handle_event(Type, Content, State, Teller) ->
    Teller ! {told, io_lib:format("~p ~s ~p", [State, type(Type), Content])},
    {Kind, To, Actions} = next(),
    case Kind of
        next when Type =/= enter -> {next_state, To, Teller, Actions};
        repeat -> {repeat_state, Teller, allowed(Type, Actions)};
        _ -> {keep_state, Teller, allowed(Type, Actions)}
    end.

next() ->
    case get(results) of
        [] -> {keep, a, []};
        [Result | Results] -> put(results, Results), Result
    end.

allowed(enter, Actions) ->
    [Action || Action <- Actions, Action =/= postpone, element(1, Action) =/= next_event];
allowed(_, Actions) ->
    Actions.

type({timeout, Name}) -> io_lib:format("timeout(~p)", [Name]);
type(Type) -> atom_to_list(Type).
