// Who one is: a name to change in the lobby, the token's name among members.

import { useEffect, useState } from "preact/hooks";
import type { Chat } from "../model/chat.ts";
import { MAX_NAME_CHARS } from "../model/wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./icons.tsx";

export function Me({ chat }: { chat: Chat }) {
  const { settings, area } = chat;
  if (chat.shown === "members") {
    const me = area.me ?? "";
    const name = area.room.members.get(me)?.name ?? me;
    return (
      <div class="me">
        <Avatar member={{ id: me, name }} />
        <p class="who">
          <bdi>{name}</bdi>
          <small>Signed in</small>
        </p>
        <BellButton chat={chat} />
        <button class="quiet" type="button" onClick={() => chat.signOut()} aria-label="Sign out" title="Sign out">
          <Icon name="leave" />
        </button>
      </div>
    );
  }
  return (
    <div class="me">
      <Avatar member={{ id: area.me ?? "", name: settings.name }} />
      <NameField chat={chat} />
      <BellButton chat={chat} />
    </div>
  );
}

const BELLS = {
  on: "Notifications are on",
  off: "Notify me of new messages while I am elsewhere",
  blocked: "Notifications are blocked in the browser’s settings of this page",
};

function BellButton({ chat }: { chat: Chat }) {
  const { state } = chat.bell;
  if (state === "unavailable") return null;
  return (
    <button
      class="quiet"
      type="button"
      data-testid="bell"
      aria-pressed={state === "on"}
      aria-label={state === "blocked" ? BELLS.blocked : "Notify me of new messages"}
      title={BELLS[state]}
      disabled={state === "blocked"}
      onClick={() => void chat.toggleBell()}
    >
      <Icon name={state === "on" ? "bell" : "silent"} />
    </button>
  );
}

function NameField({ chat }: { chat: Chat }) {
  const [name, setName] = useState(chat.settings.name);
  const [problem, setProblem] = useState<string>();
  useEffect(() => setName(chat.settings.name), [chat.settings.name]);

  const commit = async () => {
    const wanted = name.trim();
    if (wanted === "" || wanted === chat.settings.name) return setName(chat.settings.name);
    setProblem(await chat.rename(wanted));
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.isComposing) void commit();
    if (event.key === "Escape") setName(chat.settings.name);
  };
  return (
    <label class="who">
      <small>Your name</small>
      <input
        data-testid="name"
        dir="auto"
        value={name}
        maxLength={MAX_NAME_CHARS}
        autocomplete="nickname"
        enterkeyhint="done"
        spellcheck={false}
        onInput={(event) => setName(event.currentTarget.value)}
        onBlur={() => void commit()}
        onKeyDown={onKey}
      />
      {problem && <small role="alert" class="problem">{problem}</small>}
    </label>
  );
}
