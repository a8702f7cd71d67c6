// A room in which much was said, by real clients: what the page must be able to show, all of it at once.

import { ask, connected } from "./clients.mjs";

export const LONG = Array.from({ length: 60 }, (_, n) => `${n + 1}. A line of a very long list that somebody pasted.`).join("\n");
export const CODE = "Try this:\n```rust\nns.on(\"order\", async |socket, dish: String, ack| {\n    socket.to(\"kitchen\").emit(\"ordered\", &dish)?;\n    ack.send(dish)\n});\n```\nand then `cargo xtask up`.";
export const HEBREW = "שלום לכולם! איך להתחיל עם Parlour?";

/**
 * People who talk in a room, and stay. Two of them are called Ada.
 * @param {import("node:test").TestContext} t
 */
export async function seat(t, url, room, { me = "Robin" } = {}) {
  const people = {};
  for (const [key, name] of [["ada", "Ada"], ["other", "Ada"], ["noa", "נועה"], ["ben", "Ben Okri"], ["long", "Maximiliana Featherstonehaugh-Marsh"]]) {
    people[key] = await connected(t, url, { auth: { name, key: `${key} of ${room} with a long key` } });
    await ask(people[key], "join", room);
  }
  const { ada, other, noa, ben, long } = people;
  const say = (socket, text) => ask(socket, "message", { room, text });
  await say(long, "Good morning.");
  await say(ada, "Has anybody read https://en.wikipedia.org/wiki/Parlour_(room)? Or www.example.org, or ask hall@example.org.");
  await say(noa, HEBREW);
  await say(other, LONG);
  await say(ben, CODE);
  await say(ben, `@${me}, you should see this, and so should @Ada and @נועה.`);
  await say(ben, "🎉");
  await say(ada, `One very long word: ${"Donaudampfschifffahrtsgesellschaft".repeat(5)}`);
  return people;
}
