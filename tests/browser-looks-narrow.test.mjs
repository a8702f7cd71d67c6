// The page in all its states on the narrowest phone there is: 320 pixels.

import { looksOn } from "./harness/looks.mjs";

looksOn("narrow phone");
