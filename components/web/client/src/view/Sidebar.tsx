// The left side: the house's name, lobby or members, the rooms, and who one is.

import type { Chat } from "../model/chat.ts";
import type { AreaName } from "../model/settings.ts";
import { Count } from "./Count.tsx";
import { Icon } from "./icons.tsx";
import { Me } from "./Me.tsx";
import { NewRoom, RoomList } from "./RoomList.tsx";

interface Props {
  chat: Chat;
  /** A room was chosen: a drawer closes. */
  onChosen: () => void;
}

export function Sidebar({ chat, onChosen }: Props) {
  const choose = (room: string) => {
    chat.open(chat.shown, room);
    onChosen();
  };
  return (
    <>
      <div class="brand">
        <img src="/parlour.svg" alt="" width="30" height="30" />
        <span>Parlour</span>
      </div>
      <div class="areas" role="group" aria-label="Lobby or members">
        <AreaButton chat={chat} name="lobby" label="Lobby" />
        <AreaButton chat={chat} name="members" label="Members" />
      </div>
      <nav class="rooms" aria-label="Rooms">
        <RoomList chat={chat} onChoose={choose} />
        <NewRoom onChoose={choose} />
      </nav>
      <Me chat={chat} />
    </>
  );
}

function AreaButton({ chat, name, label }: { chat: Chat; name: AreaName; label: string }) {
  const { unread, isMentioned } = chat[name];
  const isShown = chat.shown === name;
  const isLocked = name === "members" && !chat.isSignedIn;
  return (
    <button type="button" aria-pressed={isShown} data-testid={`area-${name}`} onClick={() => chat.open(name)}>
      {isLocked && <Icon name="lock" />}
      {label}
      {isLocked && <span class="hidden">, sign in</span>}
      {unread > 0 && !isShown && <Count unread={unread} isMentioned={isMentioned} />}
    </button>
  );
}
