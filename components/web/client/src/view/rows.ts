// What stands under what in a room's log: a line where a day begins, one where the new messages begin, and messages, of which those by
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

/** Above the first message that one has not seen. */
export interface NewRow {
  kind: "new";
  key: string;
  /** Until when one has seen all. */
  at: number;
}

export type Row = DayRow | NewRow | MessageRow;

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

export function rowsOf(room: Room, isMine: (message: Message) => boolean): Row[] {
  const rows: Row[] = [];
  const firstNew = room.firstNew(isMine);
  const all = [...room.messages, ...room.outbox];
  for (const [index, message] of all.entries()) {
    const before = all[index - 1];
    const after = all[index + 1];
    if (!before || dayKey(before.at) !== dayKey(message.at)) {
      rows.push({ kind: "day", key: `day ${message.at}`, at: message.at });
    }
    if (message === firstNew) rows.push({ kind: "new", key: "new", at: room.newSince ?? message.at });
    rows.push({
      kind: "message",
      // An id is its sender's own.
      key: `${message.from.id} ${message.id}`,
      message,
      isPending: index >= room.messages.length,
      isFirst: !before || message === firstNew || !areTogether(before, message),
      isLast: !after || after === firstNew || !areTogether(message, after),
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
