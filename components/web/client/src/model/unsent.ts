// What was written and has not reached the server: drafts, and messages on their way. The tab remembers it, so that
// a reload loses none of it. Another tab has its own.

import type { AreaName } from "./settings.ts";
import type { Outgoing } from "./room.ts";

const KEY = "parlour.unsent";

interface Stored {
  /** By area and room. */
  drafts: Record<string, string>;
  outboxes: Record<string, readonly Outgoing[]>;
}

const keyOf = (area: AreaName, room: string): string => `${area}/${room}`;

export class Unsent {
  #stored: Stored = { drafts: {}, outboxes: {} };

  constructor() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Stored | null;
      if (kept) this.#stored = kept;
    } catch {
      // The storage is forbidden, or holds something else: then there is nothing from before.
    }
  }

  draft(area: AreaName, room: string): string {
    return this.#stored.drafts[keyOf(area, room)] ?? "";
  }

  setDraft(area: AreaName, room: string, text: string): void {
    const key = keyOf(area, room);
    if (text === "") delete this.#stored.drafts[key];
    else this.#stored.drafts[key] = text;
    this.#save();
  }

  outbox(area: AreaName, room: string): readonly Outgoing[] {
    return this.#stored.outboxes[keyOf(area, room)] ?? [];
  }

  setOutbox(area: AreaName, room: string, outbox: readonly Outgoing[]): void {
    const key = keyOf(area, room);
    if (this.#stored.outboxes[key] === outbox || (outbox.length === 0 && !(key in this.#stored.outboxes))) return;
    if (outbox.length === 0) delete this.#stored.outboxes[key];
    else this.#stored.outboxes[key] = outbox;
    this.#save();
  }

  /** Of a room, or of a whole area. */
  forget(area: AreaName, room?: string): void {
    for (const kept of [this.#stored.drafts, this.#stored.outboxes]) {
      for (const key of Object.keys(kept)) {
        if (room === undefined ? key.startsWith(`${area}/`) : key === keyOf(area, room)) delete kept[key];
      }
    }
    this.#save();
  }

  #save(): void {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.#stored));
    } catch {
      // Full or forbidden: this visit goes on without.
    }
  }
}
