// A face for somebody: their initials on a colour that is always theirs.

import type { Member } from "../model/wire.ts";

/** A number from 0 to 359 that depends on the text alone. */
function hueOf(text: string): number {
  let hash = 0;
  for (const char of text) hash = (Math.imul(hash, 31) + (char.codePointAt(0) ?? 0)) >>> 0;
  return (Math.imul(hash, 2_654_435_761) >>> 8) % 360;
}

function initialsOf(name: string): string {
  const words = name.trim().split(/\s+/u);
  const first = [...(words[0] ?? "")][0] ?? "?";
  const last = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toLocaleUpperCase();
}

export function Avatar({ member }: { member: Member }) {
  return (
    <span class="avatar" style={{ "--hue": hueOf(member.id || member.name) }} aria-hidden="true">
      {initialsOf(member.name)}
    </span>
  );
}
