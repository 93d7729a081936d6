%% SPDX-License-Identifier: MIT
-module(puppet_supervisor).

-behaviour(supervisor).

-export([init/1]).

init({Ctx, Label, Flags, Children}) ->
    puppet:enter(Ctx, Label),
    puppet:log("lifecycle", "init", []),
    {ok, {Flags, [puppet:spec(Ctx, Child) || Child <- Children]}}.
