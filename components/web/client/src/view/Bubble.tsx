// One message: whose, when, what, and for one's own whether it has arrived.

import { useState } from "preact/hooks";
import type { Area } from "../model/area.ts";
import type { Room } from "../model/room.ts";
import { beginningOf, isOnlyEmoji } from "../model/text.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./icons.tsx";
import { Name } from "./Name.tsx";
import type { MessageRow } from "./rows.ts";
import { fullTimeOf, timeOf } from "./time.ts";
import { Words } from "./words.tsx";

interface Props {
  row: MessageRow;
  area: Area;
  room: Room;
  /** Those who can be mentioned. */
  names: readonly string[];
  tag: string | undefined;
}

export function Bubble({ row, area, room, names, tag }: Props) {
  const { message, isFirst, isLast, isPending } = row;
  const isMine = isPending || area.isMine(message);
  const problem = "problem" in message ? message.problem : undefined;
  const state = problem ? "failed" : isPending ? "sending" : "sent";
  const hasStatus = isMine && !problem && (isLast || isPending);
  const hasName = isFirst && !isMine;
  return (
    <li
      class="message"
      data-testid="message"
      data-mine={isMine}
      data-first={isFirst}
      data-last={isLast}
      data-state={state}
      data-id={message.id}
    >
      {hasName && <Avatar member={message.from} />}
      <div class="body">
        <p class={hasName ? "from" : "hidden"}>
          <b>
            <Name name={message.from.name} tag={tag} />
          </b>
          <Time at={message.at} />
        </p>
        <div class="beside">
          <Text text={message.text} names={names} isMe={(name) => area.isMyName(room, name)} />
          {!hasName && !hasStatus && (
            <span class="aside" aria-hidden="true">
              <Time at={message.at} />
            </span>
          )}
        </div>
        {problem && <Failed id={message.id} problem={problem} area={area} />}
        {hasStatus && (
          <p class="when">
            <Time at={message.at} />
            <span class="state" title={isPending ? "On its way" : "Stored on the server"}>
              <Icon name={isPending ? "clock" : "tick"} />
              <span class="hidden">{isPending ? "sending" : "sent"}</span>
            </span>
          </p>
        )}
      </div>
    </li>
  );
}

/** What was said. Of a very long text only the beginning, until one wants all of it. */
function Text({ text, names, isMe }: { text: string; names: readonly string[]; isMe: (name: string) => boolean }) {
  const [isOpen, setOpen] = useState(false);
  const beginning = beginningOf(text);
  const shown = beginning === undefined || isOpen ? text : `${beginning} …`;
  return (
    <div class="bubble" dir="auto" data-large={isOnlyEmoji(text)}>
      <Words text={shown} names={names} isMe={isMe} />
      {beginning !== undefined && (
        <button class="more" type="button" dir="ltr" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Show less" : `Show all ${text.length.toLocaleString()} characters`}
        </button>
      )}
    </div>
  );
}

function Time({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={fullTimeOf(at)}>
      {timeOf(at)}
    </time>
  );
}

function Failed({ id, problem, area }: { id: string; problem: string; area: Area }) {
  return (
    <p class="when failed" role="alert">
      <span>Not sent: {problem}</span>
      <button type="button" class="link" onClick={() => area.retry(id)}>
        Try again
      </button>
      <button type="button" class="link" onClick={() => area.discard(id)}>
        Delete
      </button>
    </p>
  );
}
