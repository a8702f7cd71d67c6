// Tells people of one name apart.

import type { Member } from "./wire.ts";

/** How many characters of an id are shown at least. */
const TAG_CHARS = 4;

/** The same for names that look the same. */
export const folded = (name: string): string => name.normalize("NFKC").toLocaleLowerCase().replace(/\s+/gu, " ").trim();

/** For everybody who shares a name with somebody else: the end of the id, as long as it must be to differ. */
export function tagsOf(people: Iterable<Member>): Map<string, string> {
  const byName = new Map<string, Set<string>>();
  for (const { id, name } of people) {
    const key = folded(name);
    byName.set(key, (byName.get(key) ?? new Set()).add(id));
  }
  const tags = new Map<string, string>();
  for (const ids of byName.values()) {
    if (ids.size < 2) continue;
    const longest = Math.max(...[...ids].map((id) => id.length));
    let chars = TAG_CHARS;
    while (chars < longest && new Set([...ids].map((id) => id.slice(-chars))).size < ids.size) chars++;
    for (const id of ids) tags.set(id, id.slice(-chars));
  }
  return tags;
}
