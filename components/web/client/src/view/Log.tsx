// What was said in a room. Stays at the newest while one is there; loads older messages as one scrolls
// up, without moving what one reads.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Area } from "../model/area.ts";
import type { Room } from "../model/room.ts";
import { Bubble } from "./Bubble.tsx";
import { Icon } from "./icons.tsx";
import { rowsOf } from "./rows.ts";
import { dayOf } from "./time.ts";

/** Who is this near to the end reads the newest: pixels. */
const NEAR_END = 80;
/** Older messages are loaded this long before one reaches the oldest: pixels. */
const NEAR_START = 400;

export function Log({ area, room }: { area: Area; room: Room }) {
  const log = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const [seen, setSeen] = useState<string>();
  const newest = room.messages.at(-1)?.id;
  const oldest = room.messages[0]?.id;
  const sending = room.outbox.at(-1)?.id;
  const height = useRef({ oldest, fromEnd: 0 });

  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = log.current!;
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
    height.current = { oldest: room.messages[0]?.id, fromEnd: scrollHeight - scrollTop };
    if (isAtEnd.current) setSeen(room.messages.at(-1)?.id);
    if (scrollTop < NEAR_START) void area.loadMore();
  };
  const toEnd = () => {
    log.current!.scrollTop = log.current!.scrollHeight;
  };

  // One's own message is always followed.
  useLayoutEffect(() => {
    if (sending !== undefined) isAtEnd.current = true;
  }, [sending]);

  useLayoutEffect(() => {
    const element = log.current!;
    if (isAtEnd.current) {
      if (room.trim()) height.current.oldest = room.messages[0]?.id;
      toEnd();
      setSeen(newest);
    } else if (height.current.oldest !== oldest) {
      // Something came in above: what one reads keeps its distance from the end.
      element.scrollTop = element.scrollHeight - height.current.fromEnd;
    }
    height.current = { oldest, fromEnd: element.scrollHeight - element.scrollTop };
    if (element.scrollTop < NEAR_START) void area.loadMore();
  }, [newest, oldest, sending, room.isJoined]);

  // A keyboard that opens on a phone, or a composer that grows, must not hide the newest.
  useEffect(() => {
    const observer = new ResizeObserver(() => isAtEnd.current && toEnd());
    observer.observe(log.current!);
    return () => observer.disconnect();
  }, []);

  const isBehind = !isAtEnd.current && newest !== undefined && seen !== newest;
  return (
    <div class="log-frame">
      <div
        ref={log}
        class="log"
        role="region"
        aria-label={`Messages in ${room.name}`}
        aria-busy={room.isLoading || !room.isJoined}
        tabIndex={0}
        onScroll={onScroll}
      >
        <Start room={room} />
        <ol>
          {rowsOf(room).map((row) =>
            row.kind === "day" ? (
              <li key={row.key} class="day">
                <span>{dayOf(row.at)}</span>
              </li>
            ) : (
              <Bubble key={row.key} row={row} area={area} />
            ),
          )}
        </ol>
      </div>
      <ReadOut area={area} room={room} />
      {isBehind && (
        <button class="to-end" type="button" onClick={toEnd}>
          <Icon name="down" /> New messages
        </button>
      )}
    </div>
  );
}

/** Reads out what others say now. Not the log itself, which would read out all that history brings. */
function ReadOut({ area, room }: { area: Area; room: Room }) {
  return (
    <div class="hidden" role="log" aria-live="polite" aria-label="New messages">
      {room.heard
        .filter((message) => !area.isMine(message))
        .map(({ id, from, text }) => (
          <p key={id}>
            {from.name}: {text}
          </p>
        ))}
    </div>
  );
}

/** What stands above the oldest message. */
function Start({ room }: { room: Room }) {
  const isEmpty = room.messages.length + room.outbox.length === 0;
  if (room.problem) return <p class="start problem">You cannot enter #{room.name}: {room.problem}</p>;
  if (room.isLoading) return <p class="start">Loading older messages…</p>;
  if (room.hasMore) return <p class="start" />;
  if (!room.isJoined && isEmpty) return <p class="start">Opening the door…</p>;
  if (!room.isJoined) return <p class="start" />;
  return (
    <div class="start welcome" data-empty={isEmpty}>
      <span aria-hidden="true">#</span>
      <p>
        <strong>{isEmpty ? `Nobody has said anything in ${room.name} yet` : `This is where ${room.name} began`}</strong>
        {isEmpty && <small>Break the ice: whatever you say is kept for those who come later.</small>}
      </p>
    </div>
  );
}
