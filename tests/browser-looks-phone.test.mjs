// The page in all its states on a phone.

import { looksOn } from "./harness/looks.mjs";

looksOn("phone");
