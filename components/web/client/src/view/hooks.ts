// Hooks that tie components to the model and to the screen.

import { useEffect, useReducer, useState } from "preact/hooks";
import type { Chat } from "../model/chat.ts";

/** Draws the component again whenever the chat changed. */
export function useChanges(chat: Chat): void {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => chat.changes.subscribe(() => draw(undefined)), [chat]);
}

/** Whether a media query holds now. */
export function useMedia(query: string): boolean {
  const [media] = useState(() => matchMedia(query));
  const [holds, setHolds] = useState(media.matches);
  useEffect(() => {
    const changed = () => setHolds(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [media]);
  return holds;
}
