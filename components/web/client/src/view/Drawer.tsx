// A side of the page: a column where there is room for it, else a drawer that slides over the
// conversation, takes the focus and closes with Escape.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icons.tsx";

/** Which side it is. */
export type Side = "rooms" | "people";

interface Props {
  side: Side;
  label: string;
  isDrawer: boolean;
  isOpen: boolean;
  onClose: () => void;
  children: ComponentChildren;
}

export function Drawer({ side, label, isDrawer, isOpen, onClose, children }: Props) {
  const closer = useRef<HTMLButtonElement>(null);
  const isShown = isDrawer && isOpen;

  useEffect(() => {
    if (!isShown) return;
    closer.current?.focus();
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && onClose();
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [isShown]);

  return (
    <>
      {isShown && <div class="backdrop" onClick={onClose} />}
      <aside class={`side ${side}`} aria-label={label} data-drawer={isDrawer} data-open={isShown} inert={isDrawer && !isOpen}>
        {isDrawer && (
          <button ref={closer} class="quiet closer" type="button" onClick={onClose} aria-label={`Close ${label}`}>
            <Icon name="close" />
          </button>
        )}
        {children}
      </aside>
    </>
  );
}
