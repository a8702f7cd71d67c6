// Where one writes, and who else is writing. Enter sends, Shift+Enter begins a line; among members,
// what one writes can also go to everybody.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Area } from "../model/area.ts";
import type { Chat } from "../model/chat.ts";
import type { Room } from "../model/room.ts";
import { MAX_TEXT_BYTES } from "../model/wire.ts";
import { Dots } from "./People.tsx";
import { Icon } from "./icons.tsx";

/** While one types, it is said again this often: milliseconds. */
const SAY_TYPING = 3000;
/** The bytes left at which one is warned. */
const NEARLY_FULL = 1000;

type To = "room" | "announce" | "shout";

/** What was written and not sent, by room. */
const drafts = new WeakMap<Room, string>();

export function Composer({ chat, area, room }: { chat: Chat; area: Area; room: Room }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(drafts.get(room) ?? "");
  const [to, setTo] = useState<To>("room");
  const typing = useTyping(area);
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

  const write = (text: string) => {
    drafts.set(room, text);
    setText(text);
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
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };

  return (
    <footer class="foot">
      <WhoTypes room={room} />
      <form class="composer" data-to={to} onSubmit={send}>
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
          aria-label={to === "room" ? `Message to ${room.name}` : "Message to all members"}
          placeholder={to === "room" ? `Say something in #${room.name}` : "Say something to all members"}
          enterkeyhint="send"
          value={text}
          onInput={(event) => write(event.currentTarget.value)}
          onKeyDown={onKey}
          onBlur={() => typing(false)}
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

/** Says that one types: at once, then now and then; and that one has stopped. */
function useTyping(area: Area): (isTyping: boolean) => void {
  const said = useRef({ isTyping: false, at: 0 });
  const say = (isTyping: boolean) => {
    const { current } = said;
    const isNews = isTyping !== current.isTyping || (isTyping && Date.now() - current.at > SAY_TYPING);
    if (!isNews) return;
    said.current = { isTyping, at: Date.now() };
    area.type(isTyping);
  };
  return say;
}

function WhoTypes({ room }: { room: Room }) {
  const names = [...room.typing.values()].map(({ member }) => member.name);
  return (
    <p class="typing" aria-live="off" data-testid="typing">
      {names.length > 0 && (
        <>
          <Dots /> {sentence(names)}
        </>
      )}
    </p>
  );
}

function sentence(names: string[]): string {
  const [first = "", second = ""] = names;
  if (names.length === 1) return `${first} is typing…`;
  if (names.length === 2) return `${first} and ${second} are typing…`;
  return `${names.length} people are typing…`;
}
