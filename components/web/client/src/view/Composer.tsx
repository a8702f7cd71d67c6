// Where one writes. Enter sends, Shift+Enter begins a line; on a phone, whose keyboard has no such pair, Enter
// begins a line. Among members, what one writes can also go to everybody.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Area } from "../model/area.ts";
import type { Chat } from "../model/chat.ts";
import type { Room } from "../model/room.ts";
import { type Member, MAX_TEXT_BYTES } from "../model/wire.ts";
import { Icon } from "./icons.tsx";
import { Offered, useMentioning } from "./mentioning.tsx";
import { WhoTypes, useTyping } from "./typing.tsx";
import { useMedia } from "./hooks.ts";

/** The bytes left at which one is warned. */
const NEARLY_FULL = 1000;
/** Between the key down of an input method and its end, browsers that know no `isComposing` say this. */
const COMPOSING = 229;

type To = "room" | "announce" | "shout";

export function Composer({ chat, area, room }: { chat: Chat; area: Area; room: Room }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(() => chat.unsent.draft(area.name, room.name));
  const [to, setTo] = useState<To>("room");
  const isPhone = useMedia("(pointer: coarse) and (hover: none)");
  const typing = useTyping(area);
  const mentioning = useMentioning([...room.members.values()].filter(({ id }) => id !== area.me));
  const left = MAX_TEXT_BYTES - new TextEncoder().encode(text).length;
  const canSend = text.trim() !== "" && left >= 0;

  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, []);
  useLayoutEffect(() => {
    const element = field.current!;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);

  const write = (text: string, caret = text.length) => {
    chat.unsent.setDraft(area.name, room.name, text);
    setText(text);
    mentioning.look(text, caret);
    typing(to === "room" && text.trim() !== "");
  };
  const send = (event?: Event) => {
    event?.preventDefault();
    if (!canSend) return;
    if (to === "room") area.send(text.trim(), chat.settings.name);
    else void callOut(chat, area, to, text.trim());
    write("");
    setTo("room");
    field.current?.focus();
  };
  const mention = (member: Member) => {
    const completed = mentioning.complete(text, member);
    write(completed.text, completed.caret);
    const element = field.current!;
    element.value = completed.text;
    element.setSelectionRange(completed.caret, completed.caret);
    element.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.isComposing || event.keyCode === COMPOSING) return;
    const offered = mentioning.offered[mentioning.chosen];
    if (mentioning.key(event.key)) event.preventDefault();
    else if (offered && (event.key === "Enter" || event.key === "Tab")) {
      event.preventDefault();
      mention(offered);
    } else if (event.key === "Enter" && !event.shiftKey && !isPhone) send(event);
  };

  const isOffering = mentioning.offered.length > 0;
  return (
    <footer class="foot">
      <WhoTypes room={room} />
      <form class="composer" data-to={to} onSubmit={send}>
        <Offered mentioning={mentioning} onTake={mention} />
        {area.name === "members" && (
          <select aria-label="To whom" data-testid="to" value={to} onChange={(event) => setTo(event.currentTarget.value as To)}>
            <option value="room">#{room.name}</option>
            <option value="announce">Announce to all</option>
            <option value="shout">Shout to all others</option>
          </select>
        )}
        <textarea
          ref={field}
          id="composer"
          data-testid="composer"
          rows={1}
          dir="auto"
          aria-label={to === "room" ? `Message to ${room.name}` : "Message to all members"}
          aria-autocomplete="list"
          aria-controls={isOffering ? "offered" : undefined}
          aria-activedescendant={isOffering ? `offered-${mentioning.chosen}` : undefined}
          placeholder={to === "room" ? `Message #${room.name}` : "Message to all members"}
          enterkeyhint={isPhone ? "enter" : "send"}
          value={text}
          onInput={({ currentTarget }) => write(currentTarget.value, currentTarget.selectionStart)}
          onKeyDown={onKey}
          onBlur={() => {
            typing(false);
            mentioning.look("", 0);
          }}
        />
        {left < NEARLY_FULL && (
          <span class="left" data-over={left < 0} role="status">
            {left}
            <span class="hidden"> bytes left</span>
          </span>
        )}
        <button class="primary send" type="submit" data-testid="send" disabled={!canSend} aria-label="Send">
          <Icon name="send" />
        </button>
      </form>
    </footer>
  );
}

async function callOut(chat: Chat, area: Area, kind: "announce" | "shout", text: string): Promise<void> {
  const problem = await area.call(kind, text);
  if (problem !== undefined) chat.notify("error", "That was not sent", `${problem} (“${text}”)`);
  // An announcement comes back to its sender; a shout does not.
  else if (kind === "shout") chat.notify("shout", "You shouted to all other members", text);
}
