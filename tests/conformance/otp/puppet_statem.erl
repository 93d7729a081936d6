%% SPDX-License-Identifier: MIT
%% A gen_statem that does what it is sent; see puppet_server. What is to be done may depend on the state: op `in`.
-module(puppet_statem).

-behaviour(gen_statem).

-export([init/1, callback_mode/0, handle_event/4, terminate/3, crash/1]).

init({Ctx, Label, Options}) ->
    puppet:enter(Ctx, Label),
    process_flag(trap_exit, maps:get(trap, Options, false)),
    put(state_enter, maps:get(state_enter, Options, false)),
    puppet:log("lifecycle", "init", []),
    case puppet:ops(maps:get(init, Options, [])) of
        none -> {ok, one, Options};
        {return, {goto, State, Actions}} -> {ok, State, Options, actions(Actions)};
        {return, Other} -> Other
    end.

callback_mode() ->
    case get(state_enter) of
        true -> [handle_event_function, state_enter];
        false -> handle_event_function
    end.

handle_event(Type, Content, State, Data) ->
    put(state, State),
    returned(puppet:ops(told(Type, Content, State, Data)), Type, Data).

%% Tell of an event, and return what to do.
told({call, From}, {Tag, Ops}, State, _Data) ->
    put(from, From),
    event(State, "call ~s", [Tag]),
    Ops;
told(info, {'$do', Ops}, _State, _Data) ->
    Ops;
told(info, Message, _State, _Data) ->
    puppet:hears(Message),
    [];
told(enter, Old, State, Data) ->
    event(State, "enter from ~s", [Old]),
    maps:get(State, maps:get(enter, Data, #{}), []);
told({timeout, Name}, {Tag, Ops}, State, _Data) ->
    event(State, "timeout(~s) ~s", [Name, Tag]),
    Ops;
told(timeout, {Tag, Ops}, State, _Data) ->
    event(State, "event_timeout ~s", [Tag]),
    Ops;
told(Type, {Tag, Ops}, State, _Data) ->
    event(State, "~s ~s", [Type, Tag]),
    Ops.

event(State, Format, Args) ->
    puppet:log("event", "~s: " ++ Format, [State | Args]).

returned(none, {call, From}, _Data) -> {keep_state_and_data, [{reply, From, ok}]};
returned(none, _Type, _Data) -> keep_state_and_data;
returned({return, {goto, State, Actions}}, _Type, Data) -> {next_state, State, Data, actions(Actions)};
returned({return, {keep_state, Actions}}, _Type, _Data) -> {keep_state_and_data, actions(Actions)};
returned({return, {repeat, Actions}}, _Type, _Data) -> {repeat_state_and_data, actions(Actions)};
returned({return, {stop_and_reply, Reason, Value}}, _Type, _Data) -> {stop_and_reply, Reason, [{reply, get(from), Value}]};
returned({return, unknown}, _Type, _Data) -> erlang:error(function_clause);
returned({return, Other}, _Type, _Data) -> Other.

%% gen_statem tells of a crash without the stack, but for the exit reason.
crash(Word) when is_atom(Word), Word =/= normal, Word =/= shutdown -> {Word, []};
crash(Reason) -> Reason.

actions(Actions) -> [action(Action) || Action <- Actions].

action({postpone}) -> postpone;
action({answers, Value}) -> {reply, get(from), Value};
action({next, Tag, Ops}) -> {next_event, internal, {Tag, Ops}};
action({state_timeout, update, Tag, Ops}) -> {state_timeout, update, {Tag, Ops}};
action({state_timeout, Ms, Tag, Ops}) -> {state_timeout, puppet:ms(Ms), {Tag, Ops}};
action({event_timeout, Ms, Tag, Ops}) -> {timeout, puppet:ms(Ms), {Tag, Ops}};
action({named_timeout, Name, Ms, Tag, Ops}) -> {{timeout, Name}, puppet:ms(Ms), {Tag, Ops}}.

terminate(Reason, State, Data) ->
    Table = maps:get(table, get(ctx)),
    puppet:log("lifecycle", "terminate ~s in ~s", [puppet:reason(Table, crash(Reason)), State]),
    puppet:ops(maps:get(terminate, Data, [])).
