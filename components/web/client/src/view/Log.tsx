// What was said in a room. Stays at the newest while one is there; loads older messages as one scrolls
// up, without moving what one reads.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Area } from "../model/area.ts";
import { tagsOf } from "../model/namesakes.ts";
import type { Room } from "../model/room.ts";
import { Bubble } from "./Bubble.tsx";
import { Icon } from "./icons.tsx";
import { type Row, rowsOf } from "./rows.ts";
import { Start } from "./Start.tsx";
import { dayOf, timeOf } from "./time.ts";

/** Who is this near to the end reads the newest: pixels. */
const NEAR_END = 80;
/** Older messages are loaded this long before one reaches the oldest: pixels. */
const NEAR_START = 400;

export function Log({ area, room }: { area: Area; room: Room }) {
  const log = useRef<HTMLDivElement>(null);
  const end = useRef(true);
  /** As last drawn: at the end or not. */
  const [isAtEnd, setAtEnd] = useState(true);
  const [seen, setSeen] = useState<string>();
  const newest = room.messages.at(-1)?.id;
  const oldest = room.messages[0]?.id;
  const sending = room.outbox.at(-1)?.id;
  const height = useRef({ oldest, fromEnd: 0 });

  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = log.current!;
    end.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
    setAtEnd(end.current);
    height.current = { oldest: room.messages[0]?.id, fromEnd: scrollHeight - scrollTop };
    if (end.current) setSeen(room.messages.at(-1)?.id);
    if (scrollTop < NEAR_START) void area.loadMore();
  };
  const toEnd = () => {
    log.current!.scrollTop = log.current!.scrollHeight;
  };

  // One's own message is always followed.
  useLayoutEffect(() => {
    if (sending !== undefined) end.current = true;
  }, [sending]);

  useLayoutEffect(() => {
    const element = log.current!;
    if (end.current) {
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
    const observer = new ResizeObserver(() => end.current && toEnd());
    observer.observe(log.current!);
    return () => observer.disconnect();
  }, []);

  const known = room.known();
  const tags = tagsOf(known);
  const names = useSame([...new Set(known.map(({ name }) => name))]);
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
          {rowsOf(room, area.isMine).map((row) =>
            row.kind === "message" ? (
              <Bubble key={row.key} row={row} area={area} room={room} names={names} tag={tags.get(row.message.from.id)} />
            ) : (
              <Divider key={row.key} row={row} />
            ),
          )}
        </ol>
      </div>
      <ReadOut area={area} room={room} />
      {!isAtEnd && <ToEnd count={countAfter(room, seen, area)} onClick={toEnd} />}
    </div>
  );
}

/** The list as it was, while it has the same elements: what depends on it need not be worked out again. */
function useSame(list: readonly string[]): readonly string[] {
  return useMemo(() => list, [list.join("\n")]);
}

/** How many messages of others came after that one. */
function countAfter(room: Room, seen: string | undefined, area: Area): number {
  const at = room.messages.findLastIndex(({ id }) => id === seen);
  return at < 0 ? 0 : room.messages.slice(at + 1).filter((message) => !area.isMine(message)).length;
}

function Divider({ row }: { row: Exclude<Row, { kind: "message" }> }) {
  if (row.kind === "day") {
    return (
      <li class="day">
        <span>{dayOf(row.at)}</span>
      </li>
    );
  }
  return (
    <li class="day new" data-testid="new-since">
      <span>
        New since {dayOf(row.at) === "Today" ? "" : `${dayOf(row.at)}, `}
        {timeOf(row.at)}
      </span>
    </li>
  );
}

/** The way back to the newest message, and how many came meanwhile. */
function ToEnd({ count, onClick }: { count: number; onClick: () => void }) {
  const news = count === 1 ? "1 new message" : `${count.toLocaleString()} new messages`;
  return (
    <button class="to-end" type="button" data-testid="to-end" data-new={count > 0} onClick={onClick} aria-label={count > 0 ? undefined : "To the newest message"}>
      <Icon name="down" />
      {count > 0 && news}
    </button>
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
