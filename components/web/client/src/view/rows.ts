// What stands under what in a room's log: a line where a day begins, and messages, of which those by
// one person in a row belong together.

import type { Outgoing, Room } from "../model/room.ts";
import type { Message } from "../model/wire.ts";
import { dayKey } from "./time.ts";

/** Messages of one person stand together unless more time passed between them: milliseconds. */
const TOGETHER = 5 * 60 * 1000;

export interface DayRow {
  kind: "day";
  key: string;
  at: number;
}

export interface MessageRow {
  kind: "message";
  key: string;
  message: Message | Outgoing;
  isPending: boolean;
  /** Begins a group: with a face, a name and a time. */
  isFirst: boolean;
  /** Ends a group. */
  isLast: boolean;
}

export function rowsOf(room: Room): (DayRow | MessageRow)[] {
  const rows: (DayRow | MessageRow)[] = [];
  const all = [...room.messages, ...room.outbox];
  for (const [index, message] of all.entries()) {
    const before = all[index - 1];
    const after = all[index + 1];
    if (!before || dayKey(before.at) !== dayKey(message.at)) {
      rows.push({ kind: "day", key: `day ${message.at}`, at: message.at });
    }
    rows.push({
      kind: "message",
      key: message.id,
      message,
      isPending: index >= room.messages.length,
      isFirst: !before || !areTogether(before, message),
      isLast: !after || !areTogether(message, after),
    });
  }
  return rows;
}

function areTogether(first: Message, second: Message): boolean {
  return (
    first.from.id === second.from.id &&
    first.from.name === second.from.name &&
    second.at - first.at < TOGETHER &&
    dayKey(first.at) === dayKey(second.at)
  );
}
