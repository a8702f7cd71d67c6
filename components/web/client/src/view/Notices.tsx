// What is called out to all members, and what could not be done, above the conversation until it is
// put away.

import type { Chat, Notice } from "../model/chat.ts";
import { Icon } from "./icons.tsx";
import { fullTimeOf, timeOf } from "./time.ts";

export function Notices({ chat }: { chat: Chat }) {
  return (
    <div class="notices" role="status" aria-label="Announcements">
      {chat.notices.map((notice) => (
        <Card key={notice.key} notice={notice} onClose={() => chat.dismiss(notice.key)} />
      ))}
    </div>
  );
}

function Card({ notice, onClose }: { notice: Notice; onClose: () => void }) {
  const { kind, title, text, at } = notice;
  return (
    <article class="notice" data-kind={kind} data-testid="notice">
      <Icon name={kind === "error" ? "warning" : "horn"} />
      <div>
        <p class="title">
          <bdi>{title}</bdi> <time dateTime={new Date(at).toISOString()} title={fullTimeOf(at)}>{timeOf(at)}</time>
        </p>
        <p dir="auto">{text}</p>
      </div>
      <button class="quiet" type="button" onClick={onClose} aria-label="Dismiss">
        <Icon name="close" />
      </button>
    </article>
  );
}
