// The conversation's head: where one is, how the connection is, and on small screens the way to the sides.

import type { Chat, Line } from "../model/chat.ts";
import type { Side } from "./Drawer.tsx";
import { Icon } from "./icons.tsx";

const LINES: Record<Line, string> = {
  connected: "Connected",
  connecting: "Connecting…",
  reconnecting: "Reconnecting…",
  offline: "Offline",
};

interface Props {
  chat: Chat;
  hasMenu: boolean;
  hasPeople: boolean;
  onOpen: (side: Side) => void;
}

export function Header({ chat, hasMenu, hasPeople, onOpen }: Props) {
  const { area, line } = chat;
  const { room } = area;
  const elsewhere = chat.lobby.unread + chat.members.unread - room.unread;
  const people = room.count;
  return (
    <header class="head">
      {hasMenu && (
        <button class="quiet" type="button" onClick={() => onOpen("rooms")} aria-label={elsewhere > 0 ? `Rooms, ${elsewhere} unread` : "Rooms"}>
          <Icon name="menu" />
          {elsewhere > 0 && <span class="dot" />}
        </button>
      )}
      <div class="where">
        <h1>
          <span class="hash" aria-hidden="true">#</span>
          <bdi>{room.name}</bdi>
        </h1>
        <p>
          {area.name === "lobby" ? "Lobby" : "Members"}
          {area.refusal && ` · ${area.refusal.message}`}
          {room.isJoined && ` · ${people} ${people === 1 ? "person" : "people"} here`}
        </p>
      </div>
      <p class="line" data-line={line} data-testid="status" role="status">
        <span class="lamp" aria-hidden="true" />
        <span>{LINES[line]}</span>
      </p>
      {hasPeople && (
        <button class="quiet" type="button" onClick={() => onOpen("people")} aria-label={room.isJoined ? `People, ${people} here` : "People"}>
          <Icon name="people" />
        </button>
      )}
    </header>
  );
}
