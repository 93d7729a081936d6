%% SPDX-License-Identifier: MIT
%% A gen_server that does what it is sent: each request, cast and info carries the operations of its handler.
-module(puppet_server).

-behaviour(gen_server).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2, handle_continue/2, terminate/2]).

init({Ctx, Label, Options}) ->
    puppet:enter(Ctx, Label),
    process_flag(trap_exit, maps:get(trap, Options, false)),
    puppet:log(kind(Options), "init", []),
    put(number, number()),
    case puppet:ops(chosen(maps:get(init, Options, []))) of
        none -> {ok, Options};
        {return, {continue, Ops}} -> {ok, Options, {continue, Ops}};
        {return, {timeout, Ms}} -> {ok, Options, Ms};
        {return, Other} -> Other
    end.

%% Those that are started and stopped at the same time have no order.
kind(#{loose := true}) -> "event";
kind(_Options) -> "lifecycle".

%% The number of this incarnation.
number() ->
    case string:split(get(label), "#") of
        [_] -> 1;
        [_, Number] -> list_to_integer(Number)
    end.

%% What init does may depend on the incarnation: a list of {on, Number, Ops}, or operations for all of them.
chosen([{on, _, _} | _] = Choices) ->
    case lists:keyfind(get(number), 2, Choices) of
        false -> [];
        {on, _, Ops} -> Ops
    end;
chosen(Ops) -> Ops.

handle_call({Tag, Ops}, From, State) ->
    puppet:log("event", "call ~s", [Tag]),
    put(from, From),
    case puppet:ops(Ops) of
        none -> {reply, ok, State};
        {return, {reply, Value}} -> {reply, Value, State};
        {return, {reply, Value, {stop, Reason}}} -> {stop, Reason, Value, State};
        {return, {reply, Value, {timeout, Ms}}} -> {reply, Value, State, Ms};
        {return, {reply, Value, Then}} -> {reply, Value, State, Then};
        {return, Other} -> returned(Other, State)
    end.

handle_cast({Tag, Ops}, State) ->
    puppet:log("event", "cast ~s", [Tag]),
    after_ops(Ops, State).

handle_info({'$do', Ops}, State) ->
    after_ops(Ops, State);
handle_info(timeout, State) ->
    puppet:log("event", "idle", []),
    {noreply, State};
handle_info(Message, State) ->
    puppet:hears(Message),
    {noreply, State}.

handle_continue(Ops, State) ->
    puppet:log("event", "continue", []),
    after_ops(Ops, State).

terminate(Reason, #{terminate := Ops} = Options) ->
    puppet:log(kind(Options), "terminate ~s", [puppet:reason(maps:get(table, get(ctx)), Reason)]),
    puppet:ops(Ops);
terminate(Reason, State) ->
    terminate(Reason, State#{terminate => []}).

after_ops(Ops, State) ->
    case puppet:ops(Ops) of
        none -> {noreply, State};
        {return, Other} -> returned(Other, State)
    end.

returned(noreply, State) -> {noreply, State};
returned({stop, Reason}, State) -> {stop, Reason, State};
returned({continue, Ops}, State) -> {noreply, State, {continue, Ops}};
returned({timeout, Ms}, State) -> {noreply, State, Ms};
returned(unknown, _State) -> erlang:error(function_clause);
returned(Other, _State) -> Other.
