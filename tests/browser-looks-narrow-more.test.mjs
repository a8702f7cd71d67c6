// The page on the narrowest phone there is, 320 pixels, in its other states.

import { looksOn } from "./harness/looks.mjs";
import { ELSEWHERE } from "./harness/states.mjs";

looksOn("narrow phone", ELSEWHERE);
