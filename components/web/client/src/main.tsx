// Starts the page.

import { render } from "preact";
import { Chat } from "./model/chat.ts";
import "./styles/base.css";
import "./styles/sides.css";
import "./styles/rooms.css";
import "./styles/head.css";
import "./styles/log.css";
import "./styles/composer.css";
import "./styles/dialog.css";
import { App } from "./view/App.tsx";

render(<App chat={new Chat()} />, document.getElementById("app")!);
