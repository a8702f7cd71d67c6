// Whom one may mean by the @ that one is writing: a list above the message box, for the arrow keys or a tap.

import { useState } from "preact/hooks";
import { folded } from "../model/namesakes.ts";
import { mentionAt } from "../model/text.ts";
import type { Member } from "../model/wire.ts";
import { Avatar } from "./Avatar.tsx";

/** How many are offered at once. */
const OFFERED = 5;

export interface Mentioning {
  offered: Member[];
  /** Which of them Enter takes. */
  chosen: number;
  /** Looks again at what is written. */
  look: (text: string, caret: number) => void;
  /** The text and the caret once this one is mentioned. */
  complete: (text: string, member: Member) => { text: string; caret: number };
  /** Takes a key; whether it was one for the list. */
  key: (key: string) => boolean;
}

export function useMentioning(people: Iterable<Member>): Mentioning {
  const [begun, setBegun] = useState<{ at: number; begun: string; caret: number }>();
  const [chosen, setChosen] = useState(0);
  const offered = begun ? matching(people, begun.begun) : [];
  const at = Math.min(chosen, offered.length - 1);
  return {
    offered,
    chosen: at,
    look: (text, caret) => {
      const found = mentionAt(text, caret);
      setBegun(found && { ...found, caret });
      setChosen(0);
    },
    complete: (text, { name }) => {
      if (!begun) return { text, caret: text.length };
      const before = `${text.slice(0, begun.at)}@${name} `;
      return { text: before + text.slice(begun.caret).replace(/^ /, ""), caret: before.length };
    },
    key: (key) => {
      if (offered.length === 0) return false;
      if (key === "ArrowDown") setChosen((at + 1) % offered.length);
      else if (key === "ArrowUp") setChosen((at + offered.length - 1) % offered.length);
      else if (key === "Escape") setBegun(undefined);
      else return false;
      return true;
    },
  };
}

/** One of each name, those that begin like this. */
function matching(people: Iterable<Member>, begun: string): Member[] {
  const byName = new Map<string, Member>();
  for (const member of people) {
    const name = folded(member.name);
    // The whole name and more is written: there is nothing left to offer.
    if (name.startsWith(folded(begun)) && name !== folded(begun) && !byName.has(name)) byName.set(name, member);
  }
  return [...byName.values()].sort((a, b) => a.name.localeCompare(b.name)).slice(0, OFFERED);
}

export function Offered({ mentioning, onTake }: { mentioning: Mentioning; onTake: (member: Member) => void }) {
  const { offered, chosen } = mentioning;
  if (offered.length === 0) return null;
  return (
    <ul class="offered" id="offered" role="listbox" aria-label="Mention somebody" data-testid="offered">
      {offered.map((member, index) => (
        <li
          key={member.id}
          id={`offered-${index}`}
          role="option"
          aria-selected={index === chosen}
          // Before the message box loses the focus.
          onPointerDown={(event) => {
            event.preventDefault();
            onTake(member);
          }}
        >
          <Avatar member={member} />
          <bdi>{member.name}</bdi>
        </li>
      ))}
    </ul>
  );
}
