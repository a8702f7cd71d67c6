// One message: whose, when, what, and for one's own whether it has arrived.

import type { Area } from "../model/area.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./icons.tsx";
import type { MessageRow } from "./rows.ts";
import { fullTimeOf, timeOf } from "./time.ts";
import { Words, isOnlyEmoji } from "./words.tsx";

export function Bubble({ row, area }: { row: MessageRow; area: Area }) {
  const { message, isFirst, isLast, isPending } = row;
  const isMine = isPending || area.isMine(message);
  const problem = "problem" in message ? message.problem : undefined;
  const state = problem ? "failed" : isPending ? "sending" : "sent";
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
      {!isMine && isFirst && <Avatar member={message.from} />}
      <div class="body">
        <p class={isFirst && !isMine ? "from" : "hidden"}>
          <b>{message.from.name}</b> <Time at={message.at} />
        </p>
        <div class="bubble" data-large={isOnlyEmoji(message.text)}>
          <Words text={message.text} />
        </div>
        {problem && <Failed id={message.id} problem={problem} area={area} />}
        {isMine && !problem && (isLast || isPending) && (
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
      Not sent: {problem}{" "}
      <button type="button" class="link" onClick={() => area.retry(id)}>
        Try again
      </button>{" "}
      <button type="button" class="link" onClick={() => area.discard(id)}>
        Delete
      </button>
    </p>
  );
}
