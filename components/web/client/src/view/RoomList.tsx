// The rooms: one's own first, then the others there are, then the way to make a new one.

import { useState } from "preact/hooks";
import type { Chat } from "../model/chat.ts";
import { MAX_ROOM_CHARS } from "../model/wire.ts";
import { Count } from "./Count.tsx";
import { Icon } from "./icons.tsx";

interface Props {
  chat: Chat;
  onChoose: (room: string) => void;
}

export function RoomList({ chat, onChoose }: Props) {
  const { area } = chat;
  const own = [...area.rooms.keys()].sort((a, b) => a.localeCompare(b));
  const others = area.listed
    .map(({ name }) => name)
    .filter((name) => !area.rooms.has(name))
    .sort((a, b) => a.localeCompare(b));
  return (
    <>
      <h2 id="own-rooms">Your rooms</h2>
      <ul aria-labelledby="own-rooms">
        {own.map((name) => (
          <RoomItem key={name} chat={chat} name={name} onChoose={onChoose} />
        ))}
      </ul>
      {others.length > 0 && (
        <>
          <h2 id="other-rooms">More rooms</h2>
          <ul aria-labelledby="other-rooms">
            {others.map((name) => (
              <RoomItem key={name} chat={chat} name={name} onChoose={onChoose} />
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function RoomItem({ chat, name, onChoose }: Props & { name: string }) {
  const { area } = chat;
  const room = area.rooms.get(name);
  const listed = area.listed.find((listed) => listed.name === name);
  // Without a connection nobody knows who is where.
  const people = room?.isJoined ? room.count : area.socket.connected ? listed?.members : undefined;
  const isCurrent = area.current === name;
  const unread = room?.unread ?? 0;
  return (
    <li data-testid="room" data-current={isCurrent} data-own={room !== undefined}>
      <button type="button" aria-current={isCurrent ? "true" : undefined} onClick={() => onChoose(name)}>
        <span class="hash" aria-hidden="true">#</span>
        <span class="name">
          <bdi>{name}</bdi>
        </span>
        {unread > 0 && <Count unread={unread} isMentioned={room?.isMentioned} />}
        {people !== undefined && (
          <span class="people" title={`${people} here`}>
            {people}
            <span class="hidden"> here</span>
          </span>
        )}
      </button>
      {room && area.rooms.size > 1 && (
        <button class="quiet leave" type="button" onClick={() => void chat.leave(name)} aria-label={`Leave ${name}`} title={`Leave ${name}`}>
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}

export function NewRoom({ onChoose }: { onChoose: (room: string) => void }) {
  const [name, setName] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    const room = name.trim();
    if (room === "") return;
    setName("");
    onChoose(room);
  };
  return (
    <form class="new-room" onSubmit={submit}>
      <input
        data-testid="new-room"
        aria-label="Name of a room to open"
        dir="auto"
        placeholder="Open a room…"
        maxLength={MAX_ROOM_CHARS}
        autocomplete="off"
        enterkeyhint="go"
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <button class="quiet" type="submit" aria-label="Open the room" disabled={name.trim() === ""}>
        <Icon name="plus" />
      </button>
    </form>
  );
}
