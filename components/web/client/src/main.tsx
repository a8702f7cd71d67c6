// Starts the page.

import { render } from "preact";
import { Chat } from "./model/chat.ts";
import "./styles/base.css";
import "./styles/sides.css";
import "./styles/rooms.css";
import "./styles/head.css";
import "./styles/log.css";
import "./styles/text.css";
import "./styles/composer.css";
import "./styles/dialog.css";
import "./styles/contrast.css";
import { App } from "./view/App.tsx";

render(<App chat={new Chat()} />, document.getElementById("app")!);
