// The page: rooms on the left, the conversation in the middle, people on the right. Where there is
// little width, the sides are drawers.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Chat } from "../model/chat.ts";
import { Composer } from "./Composer.tsx";
import { Drawer, type Side } from "./Drawer.tsx";
import { Header } from "./Header.tsx";
import { Log } from "./Log.tsx";
import { Notices } from "./Notices.tsx";
import { People } from "./People.tsx";
import { Sidebar } from "./Sidebar.tsx";
import { SignIn } from "./SignIn.tsx";
import { useChanges, useMedia } from "./hooks.ts";

export function App({ chat }: { chat: Chat }) {
  useChanges(chat);
  const [open, setOpen] = useState<Side>();
  const opener = useRef<HTMLElement | null>(null);
  const isNarrow = useMedia("(max-width: 760px)");
  const isMedium = useMedia("(max-width: 1080px)");
  const { area } = chat;
  const { room } = area;

  const unread = chat.lobby.unread + chat.members.unread;
  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${room.name} · Parlour`;
  }, [unread, room.name]);

  const show = (side: Side) => {
    opener.current = document.activeElement as HTMLElement | null;
    setOpen(side);
  };
  const close = () => setOpen(undefined);
  // Who has signed in wants to see the room.
  useEffect(() => {
    if (!chat.isSigningIn && area.name === "members") close();
  }, [chat.isSigningIn]);
  const isCovered = (open === "rooms" && isNarrow) || (open === "people" && isMedium);
  useEffect(() => {
    if (isCovered) return;
    opener.current?.focus();
    opener.current = null;
  }, [isCovered]);

  return (
    <div class="app">
      <button class="skip" type="button" onClick={() => document.getElementById("composer")?.focus()}>
        Skip to the message box
      </button>
      <Drawer side="rooms" label="Rooms" isDrawer={isNarrow} isOpen={open === "rooms"} onClose={close}>
        <Sidebar chat={chat} onChosen={close} />
      </Drawer>
      <main class="room" aria-label={`Room ${room.name}`} inert={isCovered}>
        <Header chat={chat} hasMenu={isNarrow} hasPeople={isMedium} onOpen={show} />
        <Notices chat={chat} />
        <Log key={`${area.name} ${room.name}`} area={area} room={room} />
        <Composer key={`to ${area.name} ${room.name}`} chat={chat} area={area} room={room} />
      </main>
      <Drawer side="people" label="People" isDrawer={isMedium} isOpen={open === "people"} onClose={close}>
        <People area={area} room={room} name={chat.settings.name} />
      </Drawer>
      {chat.isSigningIn && <SignIn chat={chat} />}
    </div>
  );
}
