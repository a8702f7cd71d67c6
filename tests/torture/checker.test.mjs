// The torture test's checker finds each kind of fault that it is there for, and has nothing to say where there is none.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Checker } from "./checker.mjs";
import { judgeMemory } from "./report.mjs";

/** A checker that has seen two clients in a room, and what `said` were told and got. */
function chat() {
  const checker = new Checker();
  ["ada", "ben"].forEach((name) => {
    checker.session(name, `session of ${name}`);
    checker.joining(name, "room");
    checker.joined(name, "room", []);
  });
  return {
    checker,
    say: (id) => {
      checker.sent("ada", "room", id);
      checker.ack(id, id);
    },
    hear: (...ids) => ids.forEach((id) => ["ada", "ben"].forEach((name) => checker.received(name, "room", id))),
    /** All has come to rest, and this is the history. */
    rest: (...ids) => {
      checker.extend("room", ids);
      checker.judge();
    },
  };
}

const found = (checker, pattern) => {
  assert.match(checker.violations.join("\n"), pattern);
  assert.equal(checker.violations.length, 1, checker.violations.join("\n"));
};
const nothing = (checker) => assert.deepEqual([checker.violations, checker.outstanding()], [[], []]);

describe("nothing is wrong", () => {
  test("when everybody gets everything in the order of the history, over several rests", () => {
    const { checker, say, hear, rest } = chat();
    ["a1", "b1", "a2"].forEach((id) => say(id));
    hear("a1", "b1", "a2");
    rest("a1", "b1", "a2");
    say("a3");
    hear("a3");
    rest("a3");
    checker.reread("room", ["a1", "b1", "a2", "a3"]);
    checker.members("room", ["x", "y"], ["y", "x"]);
    nothing(checker);
  });

  test("when somebody comes later, leaves, begins a new session or was shown what it has missed", () => {
    const { checker, say, hear, rest } = chat();
    say("a1");
    checker.session("cora", "one");
    checker.joining("cora", "room");
    checker.joined("cora", "room", ["a1"]);
    say("a2");
    checker.received("cora", "room", "a2");
    checker.leaving("cora", "room");
    checker.left("cora", "room");
    say("a3");
    checker.session("cora", "two");
    checker.joining("cora", "room");
    checker.joined("cora", "room", ["a2", "a3"]);
    checker.shown("cora", "room", ["a1"], "a2");
    say("a4");
    checker.received("cora", "room", "a4");
    hear("a1", "a2", "a3", "a4");
    rest("a1", "a2", "a3", "a4");
    nothing(checker);
  });

  test("when a client is cut off while it leaves: it has left, and what was under way is not for it any more", () => {
    const { checker, say, rest } = chat();
    say("a1");
    checker.received("ada", "room", "a1");
    checker.leaving("ben", "room");
    checker.lost("ben");
    checker.leaving("ben", "room");
    checker.left("ben", "room");
    rest("a1");
    nothing(checker);
  });

  test("when the answer to a join is lost, and it is asked again", () => {
    const { checker, say, hear, rest } = chat();
    checker.session("cora", "one");
    checker.joining("cora", "room");
    say("a1");
    checker.received("cora", "room", "a1");
    checker.joined("cora", "room", ["a1"]);
    say("a2");
    checker.received("cora", "room", "a2");
    hear("a1", "a2");
    rest("a1", "a2");
    nothing(checker);
  });
});

describe("it finds", () => {
  test("an acknowledged message that is not in the history", () => {
    const { checker, say, hear, rest } = chat();
    ["a1", "a2"].forEach((id) => say(id));
    hear("a1");
    rest("a1");
    found(checker, /a2 .* was acknowledged and is not in the history/);
  });

  test("a message that was received, and is not in the history", () => {
    const { checker, hear, rest } = chat();
    checker.sent("ada", "room", "a1");
    hear("a1");
    rest();
    assert.match(checker.violations.join("\n"), /ada received a1 .*, which is not in the history/);
  });

  test("a message that a member did not receive: followed by another, or the last", () => {
    const { checker, say, hear, rest } = chat();
    ["a1", "a2", "a3"].forEach((id) => say(id));
    hear("a1");
    checker.received("ada", "room", "a2");
    hear("a3");
    rest("a1", "a2", "a3");
    found(checker, /ben .* received a3 .* before, or without.*: a2/);
    say("a4");
    checker.received("ben", "room", "a4");
    rest("a4");
    assert.match(checker.outstanding().join("\n"), /^ada .* has not received of room: a4 [^\n]*$/);
  });

  test("a message that a client of a recovered session missed", () => {
    const { checker, say, hear, rest } = chat();
    say("a1");
    checker.received("ada", "room", "a1");
    say("a2"); // ben is away, comes back to his session, and is not given a1
    hear("a2");
    rest("a1", "a2");
    found(checker, /ben .* received a2 .* before, or without.*: a1/);
  });

  test("a message that came twice, at once or later", () => {
    const { checker, say, rest } = chat();
    say("a1");
    for (const name of ["ada", "ben", "ben"]) checker.received(name, "room", "a1");
    rest("a1");
    found(checker, /ben .* received a1 .* twice/);
    checker.violations.length = 0;
    checker.received("ada", "room", "a1");
    checker.received("ben", "room", "a1");
    rest();
    assert.match(checker.violations.join("\n"), /ada .* received a1 .* twice[^]*ben .* received a1 .* twice/);
  });

  test("a message that was said before a client joined, and comes to it after that", () => {
    const { checker, say, hear, rest } = chat();
    say("a1");
    hear("a1");
    checker.session("cora", "one");
    checker.joining("cora", "room");
    checker.joined("cora", "room", ["a1"]);
    checker.received("cora", "room", "a1");
    rest("a1");
    found(checker, /cora .* received a1 .*, which was said before it joined room/);
  });

  test("another order than that of the history", () => {
    const { checker, say, hear, rest } = chat();
    ["a1", "a2"].forEach((id) => say(id));
    checker.received("ada", "room", "a1");
    hear("a2");
    checker.received("ben", "room", "a1");
    rest("a1", "a2");
    assert.match(checker.violations.join("\n"), /ben .* received a2 .* before, or without.*: a1[^]*a1 .* late, out of order/);
  });

  test("a message that came to a client that is not in the room, or has left it", () => {
    const { checker, say, rest } = chat();
    say("a1");
    checker.session("eve", "one");
    checker.received("eve", "room", "a1");
    found(checker, /eve received a1 .* of room, which it is not in/);
    checker.violations.length = 0;
    checker.leaving("ben", "room");
    checker.left("ben", "room");
    checker.received("ben", "room", "a1");
    checker.received("ada", "room", "a1");
    rest("a1");
    assert.match(checker.violations.join("\n"), /ben received a1 .* of room, which it is not in/);
  });

  test("a message that was acknowledged before a client left, and did not come to it", () => {
    const { checker, say, rest } = chat();
    say("a1");
    checker.received("ada", "room", "a1");
    checker.leaving("ben", "room");
    checker.left("ben", "room");
    rest("a1");
    found(checker, /ben .* has left room without having received a1/);
  });

  test("a history with a message twice, one that nobody sent, or one of another room", () => {
    const twice = chat();
    twice.say("a1");
    twice.hear("a1");
    twice.rest("a1", "a1");
    found(twice.checker, /has a1 .* twice/);
    const invented = chat();
    invented.checker.extend("room", ["x1"]);
    found(invented.checker, /x1, which nobody has sent/);
    const moved = chat();
    moved.checker.sent("ada", "elsewhere", "a1");
    moved.checker.extend("room", ["a1"]);
    found(moved.checker, /a1, which was sent to elsewhere/);
  });

  test("a history that is another when it is read again", () => {
    for (const again of [["a1"], ["a2", "a1"], ["a1", "a3"]]) {
      const { checker, say, hear, rest } = chat();
      ["a1", "a2"].forEach((id) => say(id));
      hear("a1", "a2");
      rest("a1", "a2");
      checker.reread("room", again);
      found(checker, /is another than before/);
    }
  });

  test("a part of the history that was shown and is gone, or has a gap", () => {
    const { checker, say, hear, rest } = chat();
    ["a1", "a2", "a3"].forEach((id) => say(id));
    hear("a1", "a2", "a3");
    checker.sent("ada", "room", "lost");
    checker.shown("ada", "room", ["a1", "lost"]);
    checker.shown("ada", "room", ["a1", "a3"]);
    checker.shown("ada", "room", ["a1"], "a3");
    rest("a1", "a2", "a3");
    assert.equal(checker.violations.length, 3);
    assert.match(checker.violations.join("\n"), /lost .* not there any more[^]*a3 follows on a1[^]*before a3 and was shown a1/);
  });

  test("an acknowledgement of another message", () => {
    const { checker } = chat();
    checker.sent("ada", "room", "a1");
    checker.ack("a1", "a2");
    found(checker, /acknowledgement of a1 is for a2/);
  });

  test("ghosts, and members that are not listed", () => {
    const { checker } = chat();
    checker.members("room", ["x", "ghost"], ["x"]);
    found(checker, /ghosts in room: ghost/);
    checker.violations.length = 0;
    checker.members("room", [], ["x"]);
    found(checker, /in room and not listed: x/);
  });

  test("memory that grows without end, and not memory that only varies", () => {
    const mebi = (...list) => list.map((number) => number << 20);
    assert.match(judgeMemory("relay-1", mebi(20, 20, 21, 60, 80, 90, 120, 140, 160)) ?? "", /relay-1 has grown from 20 MiB to 140 MiB/);
    assert.match(judgeMemory("app", mebi(2000)) ?? "", /app has 2000 MiB at rest/);
    assert.equal(judgeMemory("app", mebi(80, 60, 120, 70, 110, 60, 120, 90, 80)), undefined);
  });
});
