// The chat's contract, with `parlour up`.

import { after, before } from "node:test";
import { lobby } from "./contract/lobby.mjs";
import { members } from "./contract/members.mjs";
import { rooms } from "./contract/rooms.mjs";
import { transports } from "./contract/transports.mjs";
import { startUp } from "./harness/parlour.mjs";

let server;
before(async () => void (server = await startUp()));
after(() => server.stop());

rooms(() => server, "/");
rooms(() => server, "/members");
lobby(() => server);
members(() => server);
transports(() => server);
