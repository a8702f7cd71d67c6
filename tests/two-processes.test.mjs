// The same contract, with `parlour app` behind `parlour relay`.

import { after, before } from "node:test";
import { lobby } from "./contract/lobby.mjs";
import { members } from "./contract/members.mjs";
import { rooms } from "./contract/rooms.mjs";
import { transports } from "./contract/transports.mjs";
import { startPair } from "./harness/parlour.mjs";

let server;
before(async () => void (server = await startPair()));
after(() => server.stop());

rooms(() => server, "/");
rooms(() => server, "/members");
lobby(() => server);
members(() => server);
transports(() => server);
