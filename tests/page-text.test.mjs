// How the page takes apart what people write, and tells people of one name apart: functions without a page.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { load } from "./harness/typescript.mjs";

let text, namesakes;
before(async () => void ([text, namesakes] = await Promise.all([load("model/text.ts"), load("model/namesakes.ts")])));

/** The links of a text: what is shown and where they lead. */
const links = (words) => text.parse(words).filter(({ kind }) => kind === "link").map(({ text, href }) => [text, href]);

/** A text put together again from its parts, code without its marks. */
const whole = (words, names) => text.parse(words, names).map((part) => (typeof part === "string" ? part : part.text)).join("");

describe("addresses", () => {
  for (const [words, expected] of [
    ["see https://example.org/a?b=c#d, please", ["https://example.org/a?b=c#d"]],
    ["https://en.wikipedia.org/wiki/Rust_(programming_language)", ["https://en.wikipedia.org/wiki/Rust_(programming_language)"]],
    ["(https://en.wikipedia.org/wiki/Rust_(programming_language))", ["https://en.wikipedia.org/wiki/Rust_(programming_language)"]],
    ["(see https://example.org/a).", ["https://example.org/a"]],
    ["https://example.org/a(b)c).", ["https://example.org/a(b)c"]],
    ["https://[::1]:3000/x]", ["https://[::1]:3000/x"]],
    ["“https://example.org/é”… http://example.org!", ["https://example.org/é", "http://example.org"]],
    ["xhttps://example.org", []],
    ["https://", []],
    ["https://.", []],
    ["javascript:alert(1) data:text/html,x ftp://a.b", []],
  ]) {
    test(words, () => {
      assert.deepEqual(links(words), expected.map((address) => [address, address]));
      assert.equal(whole(words), words, "no character is lost");
    });
  }

  test("www. leads to https", () => {
    assert.deepEqual(links("at www.example.org/a_(b), or WWW.example.org."), [
      ["www.example.org/a_(b)", "https://www.example.org/a_(b)"],
      ["WWW.example.org", "https://WWW.example.org"],
    ]);
    assert.deepEqual(links("www. www.example awww.example.org"), []);
  });

  test("e-mail", () => {
    assert.deepEqual(links("ann.lee+tea@mail.example.co.uk, <bob@example.org>"), [
      ["ann.lee+tea@mail.example.co.uk", "mailto:ann.lee+tea@mail.example.co.uk"],
      ["bob@example.org", "mailto:bob@example.org"],
    ]);
    assert.deepEqual(links("a@b @ann ann@localhost 3@4.5 a@b.c1"), []);
  });

  test("hostile texts of the greatest length are read to their end", () => {
    for (const piece of ["a", "a.", "@a", "www.", "http://(", ")", "`", "``` ", "https://a.b))))", "a@a.", "\n"]) {
      const words = piece.repeat(Math.floor(16_384 / piece.length));
      assert.ok(text.parse(words, ["a", "Ann"]).length > 0, piece);
      assert.ok(text.parse(`https://a.b/${words}`).length > 0, piece);
    }
  });
});

describe("code", () => {
  for (const [words, expected] of [
    ["run `cargo xtask up` now", ["run ", { kind: "code", text: "cargo xtask up" }, " now"]],
    ["a ` alone\nand ` another, ``", ["a ` alone\nand ` another, ``"]],
    ["`https://example.org @Ann`", [{ kind: "code", text: "https://example.org @Ann" }]],
    ["look:\n```rust\nfn main() {}\n```\nnice", ["look:", { kind: "block", language: "rust", text: "fn main() {}" }, "nice"]],
    ["```\n  indented\n\n  twice\n```", [{ kind: "block", language: "", text: "  indented\n\n  twice" }]],
    ["```one line```", [{ kind: "block", language: "", text: "one line" }]],
    ["```js\nnever closed `x`", [{ kind: "block", language: "js", text: "never closed `x`" }]],
    ["what is ``` for", ["what is ``` for"]],
    ["``````", ["``````"]],
    ["```a```b```c```", [{ kind: "block", language: "", text: "a" }, "b", { kind: "block", language: "", text: "c" }]],
  ]) {
    test(JSON.stringify(words), () => assert.deepEqual(text.parse(words, ["Ann"]), expected));
  }
});

describe("mentions", () => {
  const names = ["Ann", "Ann Lee", "אדם", "C++ (fan)"];
  const mentioned = (words) => text.parse(words, names).filter(({ kind }) => kind === "mention").map(({ name }) => name);

  test("the longest name that fits, in any case, and only whole names", () => {
    assert.deepEqual(mentioned("@Ann @ann lee, (@ANN) @Anna @Annette"), ["Ann", "ann lee", "ANN"]);
    assert.deepEqual(mentioned("ann@Ann.org x@Ann @@Ann @Bob"), []);
    assert.deepEqual(mentioned("@אדם @C++ (fan)!"), ["אדם", "C++ (fan)"]);
    assert.equal(whole("hi @ann lee!", names), "hi @ann lee!");
  });

  test("whether somebody is mentioned", () => {
    assert.equal(text.isMentioned("hello @ann!", "Ann"), true);
    assert.equal(text.isMentioned("hello `@ann`, @anna", "Ann"), false);
  });

  test("one that is being written", () => {
    assert.deepEqual(text.mentionAt("hi @An", 6), { at: 3, begun: "an" });
    assert.deepEqual(text.mentionAt("@", 1), { at: 0, begun: "" });
    assert.deepEqual(text.mentionAt("@ann lee and", 8), { at: 0, begun: "ann lee" });
    for (const [words, caret] of [["hi", 2], ["a@b", 3], ["@a\nb", 4], ["hi @An", 3]]) {
      assert.equal(text.mentionAt(words, caret), undefined, words);
    }
  });
});

describe("very long messages", () => {
  test("a text of ordinary length has no beginning of its own", () => {
    for (const words of ["", "hello", "x".repeat(1500), "line\n".repeat(23)]) assert.equal(text.beginningOf(words), undefined);
  });

  test("of a long one it is the first lines or characters, cut between words", () => {
    assert.equal(text.beginningOf("line\n".repeat(24)), "line\n".repeat(12).trimEnd());
    const start = text.beginningOf("four ".repeat(400));
    assert.match(start, /^(four )+four$/);
    assert.ok(start.length > 800 && start.length <= 900);
    assert.equal(text.beginningOf("x".repeat(2000)), "x".repeat(900));
  });

  test("no emoji is cut in two", () => {
    for (const lead of ["", "x"]) assert.doesNotMatch(text.beginningOf(lead + "😀".repeat(1000)), /[\uD800-\uDBFF]$/);
  });
});

describe("people of one name", () => {
  const tags = (...people) => Object.fromEntries(namesakes.tagsOf(people.map(([id, name]) => ({ id, name }))));

  test("get as much of their ids as tells them apart, others nothing", () => {
    assert.deepEqual(tags(["u111aaaa", "Ann"], ["u222bbbb", "ann "], ["u333cccc", "Bob"]), { u111aaaa: "aaaa", u222bbbb: "bbbb" });
    assert.deepEqual(tags(["u1aaaa", "Ann"], ["u2aaaa", "Ａｎｎ"]), { u1aaaa: "1aaaa", u2aaaa: "2aaaa" });
    assert.deepEqual(tags(["u1", "Ann"], ["u1", "Ann"], ["u2", "Bob"]), {});
  });
});
