// Asks for the token that admits to the members' area, and says why one was refused.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Chat } from "../model/chat.ts";

const HINTS: Record<string, string> = {
  missing_token: "Paste a token first.",
  expired_token: "Ask for a new one.",
  invalid_token: "Check that you pasted all of it, and that it is meant for this server.",
  not_yet_valid: "Try again later.",
};

export function SignIn({ chat }: { chat: Chat }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [token, setToken] = useState("");
  const { refusal, socket } = chat.members;
  const isWaiting = socket.active && !socket.connected;

  useEffect(() => dialog.current?.showModal(), []);

  const submit = (event: Event) => {
    event.preventDefault();
    if (token.trim() !== "") chat.signIn(token.trim());
  };
  return (
    <dialog ref={dialog} class="sign-in" aria-labelledby="sign-in-title" onClose={() => chat.cancelSignIn()}>
      <form onSubmit={submit}>
        <h2 id="sign-in-title">Members only</h2>
        <p>
          The members’ rooms are for people with a token. On your own server, make one with:
          <code>
            parlour token <span>--sub ann</span> <span>--name Ann</span>
          </code>
        </p>
        <label>
          Your token
          <textarea
            data-testid="token"
            rows={4}
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            aria-invalid={refusal !== undefined}
            aria-describedby="sign-in-problem"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            onKeyDown={(event) => event.key === "Enter" && submit(event)}
          />
        </label>
        <p id="sign-in-problem" class="problem" role="alert" data-testid="sign-in-problem">
          {refusal && `${refusal.message}. ${HINTS[refusal.code] ?? ""}`}
        </p>
        <div class="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button class="primary" type="submit" data-testid="sign-in" disabled={token.trim() === "" || isWaiting}>
            {isWaiting ? "Signing in…" : "Sign in"}
          </button>
        </div>
      </form>
    </dialog>
  );
}
