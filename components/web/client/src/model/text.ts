// What somebody wrote, taken apart: code, addresses, mentions, and the plain text between them. Pure: it knows
// neither the page nor the chat. Every pattern takes time in proportion to the text, whatever the text is.

export type Part =
  | string
  | { kind: "code"; text: string }
  | { kind: "block"; text: string; language: string }
  | { kind: "link"; text: string; href: string }
  | { kind: "mention"; text: string; name: string };

const FENCE = "```";
const LANGUAGE = /^([\w+#.-]{1,20})\n/;
// Between single ones: of several in a row none is the end.
const INLINE_CODE = /(?<!`)`([^`\n]+)`(?!`)/g;

const ADDRESS = new RegExp(
  [
    String.raw`(?<![\p{L}\p{N}_])https?:\/\/[^\s<>"]+`,
    String.raw`(?<![\p{L}\p{N}_@./-])www\.[\p{L}\p{N}-]{1,63}\.[^\s<>"]+`,
    String.raw`(?<![\p{L}\p{N}._%+-])[\p{L}\p{N}._%+-]{1,64}@(?:[\p{L}\p{N}-]{1,63}\.){1,8}\p{L}{2,24}(?![\p{L}\p{N}@-])`,
  ].join("|"),
  "giu",
);
/** What ends a sentence or a quotation, and so no address. */
const AFTER_ADDRESS = `.,;:!?'*_~…’”»。，、！？`;
const BRACKETS: Record<string, string> = { ")": "(", "]": "[", "}": "{", "）": "（", "」": "「", "】": "【" };

/** One to three emoji and nothing else are shown large. */
const ONLY_EMOJI = /^(?:\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F|\u200D\p{Extended_Pictographic})*\s?){1,3}$/u;

/** A text of more than this is a long one … */
const LONG_CHARS = 1500;
const LONG_LINES = 24;
/** … and this much of it is shown at first. */
const SHOWN_CHARS = 900;
const SHOWN_LINES = 12;
/** The cut is made between two words, if there are two in the last characters. */
const WORD_CHARS = 60;

/** The parts of a text; `names` are those who can be mentioned. */
export function parse(text: string, names: readonly string[] = []): Part[] {
  let parts = blocks(text);
  parts = split(parts, INLINE_CODE, ([, code = ""]) => ({ part: { kind: "code", text: code } }));
  parts = split(parts, ADDRESS, ([address]) => link(address));
  const mentioned = mentions(names);
  if (mentioned) parts = split(parts, mentioned, ([text]) => ({ part: { kind: "mention", text, name: text.slice(1) } }));
  return parts;
}

/** Whether the text mentions somebody of this name. */
export function isMentioned(text: string, name: string): boolean {
  return parse(text, [name]).some((part) => typeof part !== "string" && part.kind === "mention");
}

export const isOnlyEmoji = (text: string): boolean => ONLY_EMOJI.test(text);

/** How a very long text begins; undefined if the text is not very long. */
export function beginningOf(text: string): string | undefined {
  const lines = text.split("\n", LONG_LINES + 1);
  if (text.length <= LONG_CHARS && lines.length <= LONG_LINES) return undefined;
  const start = lines.slice(0, SHOWN_LINES).join("\n");
  if (start.length <= SHOWN_CHARS) return start.trimEnd();
  const cut = start.slice(0, SHOWN_CHARS).replace(/[\uD800-\uDBFF]$/, "");
  const word = cut.slice(-WORD_CHARS).search(/\s\S*$/);
  return (word < 0 ? cut : cut.slice(0, cut.length - WORD_CHARS + word)).trimEnd();
}

/** Code between fences, and what is around it. A fence that is not closed holds the rest, if it begins a line. */
function blocks(text: string): Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (let open = text.indexOf(FENCE); open >= 0; open = text.indexOf(FENCE, open)) {
    const close = text.indexOf(FENCE, open + FENCE.length);
    const beginsLine = open === 0 || text[open - 1] === "\n";
    const code = text.slice(open + FENCE.length, close < 0 ? undefined : close);
    if ((close < 0 && !beginsLine) || code.trim() === "") {
      open += FENCE.length;
      continue;
    }
    const [, language = ""] = LANGUAGE.exec(code) ?? [];
    parts.push(text.slice(from, open).replace(/\n$/, ""));
    parts.push({ kind: "block", language, text: code.slice(language.length).replace(/^\n/, "").trimEnd() });
    if (close < 0) return parts.filter((part) => part !== "");
    from = open = close + FENCE.length;
    if (text[from] === "\n") from += 1;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== "");
}

/** What a match is, and how much of it; nothing if it is only text. */
type Found = { part: Part; length?: number } | undefined;

/** Takes what matches out of those parts that are still text. */
function split(parts: readonly Part[], pattern: RegExp, find: (match: RegExpExecArray) => Found): Part[] {
  return parts.flatMap((part) => {
    if (typeof part !== "string") return [part];
    const pieces: Part[] = [];
    let end = 0;
    for (const match of part.matchAll(pattern)) {
      const found = find(match);
      if (!found) continue;
      if (match.index > end) pieces.push(part.slice(end, match.index));
      pieces.push(found.part);
      end = match.index + (found.length ?? match[0].length);
    }
    if (end < part.length) pieces.push(part.slice(end));
    return pieces;
  });
}

function link(found: string): Found {
  const text = withoutEnd(found);
  const scheme = /^https?:/i.test(text) ? "" : /^www\./i.test(text) ? "https://" : "mailto:";
  const href = scheme + text;
  try {
    new URL(href);
  } catch {
    return undefined;
  }
  return { part: { kind: "link", text, href }, length: text.length };
}

/** An address without the punctuation after it. A bracket that is opened in the address is part of it. */
function withoutEnd(address: string): string {
  const count = (bracket: string) => address.split(bracket).length - 1;
  const surplus = new Map(Object.entries(BRACKETS).map(([close, open]) => [close, count(close) - count(open)]));
  let end = address.length;
  for (; end > 0; end--) {
    const last = address[end - 1]!;
    const unopened = surplus.get(last) ?? 0;
    if (unopened > 0) surplus.set(last, unopened - 1);
    else if (!AFTER_ADDRESS.includes(last)) break;
  }
  return address.slice(0, end);
}

/** An @ and a name, the longest that fits. */
function mentions(names: readonly string[]): RegExp | undefined {
  const known = names.filter((name) => name !== "").sort((a, b) => b.length - a.length);
  if (known.length === 0) return undefined;
  const any = known.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)).join("|");
  return new RegExp(String.raw`(?<![\p{L}\p{N}_@.])@(?:${any})(?![\p{L}\p{N}_])`, "giu");
}

/** A mention that is being written: where its @ is, and what follows up to the caret. */
export function mentionAt(text: string, caret: number): { at: number; begun: string } | undefined {
  const match = /(?<![\p{L}\p{N}_@.])@([^\n@]{0,40})$/u.exec(text.slice(Math.max(0, caret - 42), caret));
  return match ? { at: caret - match[0].length, begun: match[1]!.toLocaleLowerCase() } : undefined;
}
