"""The words of the agreement grammar, typed by meaning so that its sentences make sense. Written for this project.

A noun is listed once and takes the regular plural; an irregular one is listed as `man/men`. A word form belongs to one
part of speech only, so that the number of a noun can be read off its form.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Nouns with a singular and a plural form, by meaning.
NOUNS: dict[str, str] = {
    "person": """
        student teacher doctor nurse lawyer farmer singer writer painter dancer actor driver pilot sailor soldier
        guard
        clerk cook baker butcher waiter tailor carpenter plumber engineer scientist historian poet journalist editor
        photographer musician pianist gardener hunter shepherd merchant miner mechanic librarian professor scholar
        philosopher translator critic reporter architect sculptor banker politician minister senator mayor judge
        governor ambassador diplomat detective prisoner thief/thieves spy witness/witnesses victim patient tourist
        traveler visitor guest customer passenger neighbor stranger boy girl man/men woman/women child/children
        gentleman/gentlemen policeman/policemen fisherman/fishermen fireman/firemen king queen prince
        princess/princesses
        duke knight monk nun priest bishop hero/heroes surgeon dentist chemist artist novelist composer inspector
        general lady refugee volunteer rebel
    """,
    "kin": "son daughter brother sister uncle aunt cousin nephew niece grandson friend rival wife/wives assistant",
    "official": """
        member leader director founder manager secretary representative spokeswoman/spokeswomen treasurer adviser
        chairman/chairmen employee
    """,
    "group": """
        committee team family company government council club orchestra choir army party union agency ministry
        department
        association charity firm tribe commission corporation
    """,
    "animal": """
        dog cat horse cow goat pig rabbit fox wolf/wolves mouse/mice goose/geese ox/oxen lion tiger bear elephant
        monkey
        donkey camel eagle owl crow swan duck hen parrot snake frog puppy kitten lamb calf/calves pony squirrel
        falcon leopard
    """,
    "fish": "eel crab lobster turtle perch",
    "tree": "tree oak pine bush hedge palm willow birch elm",
    "flower": "rose tulip lily daisy cactus/cacti flower poppy orchid",
    "food": """
        apple cake pie cherry potato/potatoes tomato/tomatoes loaf/loaves sandwich egg onion carrot peach pear lemon
        banana biscuit sausage pancake pastry mushroom
    """,
    "toy": "toy doll ball kite puppet",
    "object": """
        cup plate knife/knives bowl coin clock lamp candle mirror umbrella camera pen pencil rope hammer
        ladder spoon flag shield sword bell kettle blanket pillow necklace violin guitar trumpet compass/compasses
        vase
        telescope lantern bottle
    """,
    "key": "key",
    "container": "box drawer cupboard cabinet basket chest crate bag suitcase trunk envelope",
    "surface": "table desk bench shelf/shelves counter bed chair sofa",
    "clothing": "coat hat scarf/scarves shirt dress/dresses glove boot shoe jacket uniform sweater skirt cloak",
    "vehicle": "car bus truck train ship boat bicycle carriage wagon taxi van ferry tractor ambulance canoe tram",
    "document": """
        report letter book article poem novel story diary essay note list magazine newspaper memoir biography
        thesis/theses contract treaty petition invitation manuscript pamphlet document chapter
    """,
    "picture": "painting portrait photograph poster sculpture drawing mural sketch statue",
    "work": "song film play opera symphony musical comedy documentary",
    "building": """
        house school museum library church hospital hotel restaurant castle palace tower station theater factory
        warehouse shop cottage temple cathedral office prison farm mill bakery chapel barn cinema monastery embassy
        clinic laboratory gallery lighthouse
    """,
    "room": "kitchen bedroom hall bathroom attic lobby corridor courtyard balcony classroom garage garden terrace",
    "opening": "door gate entrance staircase doorway",
    "part": "window roof wall chimney fence column",
    "settlement": "city town village district port capital province colony suburb",
    "ground": "valley forest field meadow desert park swamp orchard vineyard",
    "height": "mountain hill island cliff beach coast volcano/volcanoes",
    "river": "river canal stream creek brook channel",
    "lake": "lake pond bay harbor lagoon reservoir",
    "way": "road street path bridge tunnel avenue railway trail",
    "idea": """
        idea theory proposal decision problem rule argument reason method project policy reform belief promise rumor
        hypothesis/hypotheses analysis/analyses suggestion strategy complaint plan objection question
    """,
    "event": """
        war battle festival concert exhibition election strike wedding celebration race parade ceremony revolution
        tournament
    """,
    "debate": "meeting conference trial debate scandal crisis/crises dispute negotiation",
    "disaster": "storm flood earthquake fire accident explosion",
}

# Nouns with one form for both numbers; only the words around them show which number is meant.
INVARIANT: dict[str, str] = {
    "animal": "sheep deer moose bison species",
    "fish": "salmon trout cod",
    "vehicle": "aircraft spacecraft",
    "document": "series",
    "way": "crossroads",
}

# Mass nouns: always singular.
MASS: dict[str, str] = {
    "substance": "water milk coffee rice sand flour sugar oil coal salt wheat wool cotton timber",
    "goods": "furniture luggage equipment jewelry clothing machinery pottery",
    "knowledge": "information news advice evidence research gossip testimony",
}

# Compounds: the first noun precedes the subject's head and does not reveal its number.
COMPOUNDS: dict[str, tuple[str, ...]] = {
    "person": (
        "bus driver", "opera singer", "taxi driver", "school teacher", "village doctor", "factory worker",
        "history professor", "hotel guest", "train passenger", "newspaper editor", "prison guard", "army general",
        "hospital nurse", "family doctor", "theater critic",
    ),
    "building": (
        "art museum", "city library", "train station", "village church", "car factory", "art gallery", "school library",
        "stone house", "mountain hotel", "army hospital", "coffee shop", "family farm",
    ),
    "document": (
        "newspaper article", "travel book", "research report", "crime novel", "government report", "history book",
        "police report", "peace treaty", "detective story", "wedding invitation",
    ),
    "object": ("kitchen knife/kitchen knives", "church bell", "table lamp", "oil lamp", "street lamp", "silver coin"),
    "vehicle": ("police car", "school bus", "fishing boat", "army truck", "river boat", "delivery van"),
    "opening": ("castle gate", "church door", "hotel entrance", "barn door"),
    "part": ("kitchen window", "garden wall", "palace wall"),
    "event": ("film festival", "horse race", "rock concert", "book exhibition"),
    "debate": ("peace conference", "party meeting", "budget debate", "murder trial"),
    "idea": ("tax reform", "security policy", "business strategy", "peace proposal", "health problem"),
    "animal": ("house cat", "mountain goat", "farm horse", "guard dog", "farm dog"),
    "food": ("apple pie", "cherry cake", "cheese sandwich", "chocolate biscuit"),
}  # fmt: skip

FIRST_NAMES = _words("""
    maria anna sarah emma laura julia helen alice clara diana elena fatima hannah irene jane linda martha nadia olivia
    rachel sofia teresa vera aisha beatrice carmen esther leila miriam nora priya simone yuki john paul peter david
    daniel thomas james robert michael adam ahmed arthur boris carlos charles edward felix george hassan henry hugo ivan
    joseph kevin leo louis martin mohammed nathan oliver omar oscar patrick pablo philip ravi samuel simon tariq victor
    walter william
""")
SURNAMES = _words("""
    smith johnson garcia wilson anderson taylor martinez robinson clark schmidt nowak tanaka kowalski hoffman rossi
""")
NICKNAMES = _words("old young little poor dear")
TITLES = _words("doctor professor captain judge senator inspector")
TOWN_NAMES = _words("""
    london paris berlin rome madrid vienna moscow istanbul cairo lagos nairobi tokyo delhi boston chicago toronto lisbon
""")
COUNTRY_NAMES = _words("""
    france italy spain germany poland russia turkey egypt nigeria kenya japan india china brazil peru mexico canada
""")

# Prepositions by the meaning of the noun they follow. `any`: both nouns may have either number. `one`: no single
# thing is in two places ("the key in the boxes"). `many`: a plural must follow. Common ones are listed twice.
RELATIONS: dict[str, str] = {
    "person": """
        in: building room settlement: one; in: building settlement: one; from: settlement group: one
        from: settlement: one; from: height ground: any; near: opening vehicle river lake: any
        near: building part: any
        behind: surface tree: any; outside: building: any; in front of: building: any
        with: object animal container: any
        with: object animal clothing kin: any; next to: vehicle person: any; on: vehicle: one; at: event: one
        at: event debate: one; without: clothing: any; beside: river lake: any
    """,
    "kin": "of: person: any; of: person official: any; of: person: any; from: settlement: one; in: settlement: one",
    "official": "of: group: any; of: group: any; of: group: any; from: settlement: one; in: settlement: one",
    "group": """
        in: settlement: one; in: settlement: one; from: settlement: one; of: person: many
        behind: event debate work: any; against: idea event: any; near: river lake: any; with: official: any
    """,
    "animal": """
        in: ground: one; in: room building: one; near: river lake building: any; behind: opening tree building: any
        on: height way: one; of: person: any; of: person: one; under: tree surface: any; beside: river way: any
        from: height ground: any; from: building: one; between: tree building: many; with: animal: any
    """,
    "fish": "in: river lake: any; from: river lake: any; near: height: any; on: surface: one; for: person: any",
    "tree": """
        in: ground room: one; near: building river lake part: any; along: way river: any
        behind: building opening: any
        beside: way river: any; on: height: one; between: building way: many; around: building lake: any
        in front of: building: any
    """,
    "flower": """
        in: room ground: one; near: opening part building: any; along: way river: any; beside: way: any
        in front of: building: any; for: person kin: any; from: person: any; on: surface: one; between: tree: many
    """,
    "food": """
        on: surface: one; from: settlement building: one; for: person kin: any; for: person: any
        in: container room: one
        next to: object: any; of: person: one
    """,
    "toy": """
        on: surface: one; in: container: one; of: kin: any; for: kin: any; under: surface: any
        next to: container: any
        from: kin person: any
    """,
    "object": """
        on: surface: one; on: surface: one; in: container room: one; near: opening part: any; under: surface: any
        of: person official: one; of: person: any; for: person kin: any; from: person settlement: one
        next to: object document: any; behind: container opening: any; from: kin: any
    """,
    "key": """
        to: container room building: any; to: opening container: any; for: container vehicle: any; on: surface: one
        of: person: any
    """,
    "container": """
        on: surface: one; of: person: any; with: document object: any; with: clothing food toy: any
        under: surface: any
        behind: opening: any; for: person: any; full of: food document clothing: many; next to: surface: any
        in: room: one; from: person: any
    """,
    "surface": """
        in: room: one; in: room: one; near: part opening: any; for: person: any; with: object document: any
        in front of: part: any; between: part opening: many; next to: opening: any
    """,
    "clothing": """
        of: person: any; of: person kin: one; on: surface: one; in: container: one; for: person kin: any
        from: settlement: one; next to: container: any; from: kin: any; under: surface: any
    """,
    "vehicle": """
        near: building opening river: any; behind: building: any; in front of: building: any; from: settlement: one
        of: group person: any; with: person animal: any; with: person: any; for: person: any; outside: building: any
        on: way: one; full of: person food: many; between: building: many; to: settlement: any
    """,
    "document": """
        about: event debate idea person: any; about: event debate idea settlement: any; about: animal disaster: any
        by: person: any
        by: person official: any; from: person group official: any; for: person group: any; on: surface: one
        in: container: one; in: building: one; to: person group official: any; on: event debate idea: any
        of: person: any
    """,
    "picture": """
        of: person animal building: any; of: person official flower: any; of: river event height: any
        by: person: any
        by: person: any; in: building room: one; for: kin person: any; near: opening: any; from: settlement: one
    """,
    "work": """
        about: event debate person animal: any; about: event debate disaster settlement: any; by: person: any
        by: person: any
        for: kin person: any; from: settlement: one
    """,
    "building": """
        near: river lake building: any; near: ground settlement: any; beside: river way: any
        behind: building tree: any
        in: settlement: one; in: settlement: one; with: part room: any; with: tree: many; on: height way: one
        opposite: building: any; between: building way river: many; outside: settlement: any; for: person: any
        of: group person: any; in front of: lake tree: any
    """,
    "room": """
        of: building: one; of: building: one; near: opening: any; behind: building opening: any
        with: part surface: any
        with: flower: many; for: person: any; next to: room: any; full of: flower document person: many
        between: room: many; above: room: any
    """,
    "opening": """
        of: building: one; of: building room: one; to: room building: any; to: room building: any; between: room: many
        behind: tree: any; opposite: building: any; near: vehicle: any; beside: part: any
    """,
    "part": """
        of: building: one; of: building room: one; near: opening way: any; behind: tree vehicle: any
        in front of: vehicle building: any; between: room building: many; beside: way: any; opposite: building: any
    """,
    "settlement": """
        near: river lake height: any; on: river lake: one; with: building: any; with: building: any
        behind: height: any
        between: river height: many; beyond: height river: any; around: lake: any; below: height: any; in: ground: one
        in: ground: one
    """,
    "ground": """
        near: settlement lake: any; behind: building: any; beyond: river settlement: any
        between: settlement height: many
        around: settlement building: any; with: animal flower: many; below: height: any; beside: way: any
    """,
    "height": """
        near: settlement: any; behind: settlement building: any; beyond: river lake: any; above: settlement: any
        with: building tree: many; opposite: settlement: any; between: settlement: many; around: lake settlement: any
    """,
    "river": """
        near: settlement building: any; behind: building: any; beyond: ground settlement: any
        in: ground settlement: one
        below: height: any; between: height settlement: many; with: fish: many; through: ground: any
    """,
    "lake": """
        near: settlement building: any; behind: building tree: any; beyond: ground settlement: any; with: fish: many
        in: ground: one; below: height: any; between: height settlement: many; full of: fish: many
    """,
    "way": """
        to: settlement building: any; to: settlement lake: any; through: ground settlement: any
        near: river building: any
        between: settlement building: many; behind: building: any; along: river: any; in: settlement: one
        around: lake building: any; from: settlement: one; past: building ground: any
    """,
    "idea": """
        of: person group: any; of: official person: any; about: event debate settlement: any
        about: animal building: any
        behind: event debate idea work: any; for: event debate building settlement: any
        from: person group official: any
        against: event debate group idea: any; concerning: event debate person document: any; in: document: one
    """,
    "event": """
        in: settlement: one; in: settlement: one; in: ground building: one; near: river lake: any
        at: building: one; after: debate disaster: any; before: event debate: any; with: official person: any
        between: group settlement: many; organized by: group: any
    """,
    "debate": """
        in: settlement: one; in: settlement: one; between: group official person: many; about: idea document: any
        about: idea disaster event: any; at: building: one; after: event disaster: any; before: event: any
        with: official person group: any; over: idea: any; concerning: document settlement: any
    """,
    "disaster": """
        in: settlement building: one; in: settlement: one; near: settlement building river: any; on: height way: one
        after: event debate: any; before: event debate: any; at: building: one; behind: building: any
        outside: settlement: any
    """,
    "substance": """
        from: settlement height: any; in: container: one; for: person animal: any; from: person: any
        in: building object: one; for: building: any
    """,
    "goods": """
        in: room building: one; from: settlement: one; of: person group: any; for: person building: any
        from: person kin: any; behind: opening: any; outside: building: any; near: opening: any
    """,
    "knowledge": """
        about: event debate idea person: any; about: settlement disaster group: any; from: person group: any
        from: person official: any; in: document: any; on: idea event debate: any; against: person idea: any
        for: person: any
    """,
}

# Prepositions that only say where; a chain of them soon stops making sense.
PLACES = frozenset(
    _words("near behind outside front next beside beyond around between below above opposite past among along under")
)

# Participles used like prepositions, with the same three kinds of number.
PARTICIPLES: dict[str, str] = {
    "person": """
        standing near: opening vehicle part: any; sitting beside: opening person river: any
        waiting outside: building: any; living in: settlement: one; working in: building room: one
        sleeping under: tree: any; walking along: river way: any; dressed in: clothing: any
        living near: building river lake: any; looking at: picture animal person: any
        talking to: person official: any
        waiting for: person vehicle: any; playing with: animal toy: any; born in: settlement: one
        hiding behind: tree vehicle part: any; listening to: person official: any; worried about: idea event debate: any
        interested in: work document event debate: any; surrounded by: person animal: many; accused by: person: any
        famous for: work document: any; responsible for: event debate idea: any; working for: group: any
        working for: group official: any
    """,
    "group": """
        based in: settlement: one; led by: person official: any; opposed to: idea event debate: any
        responsible for: event debate idea: any; interested in: idea work: any; founded by: person: any
        worried about: idea event debate: any
    """,
    "animal": """
        sleeping under: tree surface: any; hiding behind: tree part: any; living in: ground building: one
        running along: way river: any; running toward: person building: any; waiting for: person: any
        drinking from: river lake: any; belonging to: person: any
    """,
    "fish": "living in: river lake: any; caught by: person: any; sold by: person: any; coming from: lake river: any",
    "tree": "growing near: river building part: any; growing along: way river: any; planted by: person: any",
    "flower": "growing near: opening building part: any; growing along: way river: any; planted by: person: any",
    "food": "lying on: surface: one; left on: surface: one; prepared by: person: any; prepared by: person kin: any",
    "toy": "lying on: surface: one; made by: person kin: any; hidden under: surface: any; belonging to: kin: any",
    "object": """
        lying on: surface: one; hidden under: surface document: any; kept in: container room: one
        left behind by: person: any; made by: person: any; belonging to: person kin: any
        found near: river building: any
        hidden behind: part container: any; used by: person: any
    """,
    "key": """
        lying on: surface: one; belonging to: person official: any; kept in: container: one
        hidden under: surface object: any
        used by: person: any
    """,
    "container": """
        filled with: document food object: many; standing near: opening: any; belonging to: person: any
        hidden under: surface: any; hidden behind: surface opening: any; left near: opening: any
    """,
    "surface": """
        standing near: opening part: any; covered with: document: many; made by: person: any; used by: person: any
    """,
    "clothing": """
        lying on: surface: one; worn by: person: any; hanging near: opening: any; made by: person: any
        belonging to: person: any
    """,
    "vehicle": """
        parked near: building opening river: any; waiting outside: building: any; driven by: person: any
        parked behind: building vehicle: any; belonging to: person group: any; filled with: food container: many
        coming from: settlement: one; heading toward: settlement: any
    """,
    "document": """
        lying on: surface: one; hidden in: container: one; written by: person: any; written by: person official: any
        addressed to: person group official: any; dealing with: event debate idea disaster: any
        hidden under: surface: any
        based on: event debate document: any; kept in: building container: one
    """,
    "picture": """
        hanging near: opening part: any; made by: person: any; dedicated to: person: any; kept in: building: one
        inspired by: event debate person work: any; stolen from: building person: any
    """,
    "work": """
        written by: person: any; dedicated to: person event debate: any; based on: document event debate: any
        inspired by: event debate person picture: any; dealing with: event debate disaster idea: any
    """,
    "building": """
        standing near: river way building: any; built by: person: any; overlooking: river lake ground: any
        surrounded by: tree flower: many; belonging to: person group: any; hidden behind: tree height: any
        named after: person: any; damaged during: disaster event debate: any
    """,
    "room": """
        filled with: flower document person: many; leading to: room: any
        reserved for: person: any; used by: person: any
    """,
    "opening": "leading to: room building: any; leading to: room: any; facing: way: any; used by: person: any",
    "part": """
        facing: way building: any; covered with: flower picture: many; built by: person: any
        damaged by: disaster: any
    """,
    "settlement": """
        lying near: river lake height: any; surrounded by: height ground: many; destroyed by: disaster: any
        founded by: person: any; ruled by: person: any; known for: building picture event debate: any
    """,
    "ground": """
        lying near: settlement lake: any; surrounded by: height: many; stretching toward: height river: any
        crossed by: way river: any
    """,
    "height": "rising above: settlement lake: any; covered with: tree flower: many; lying beyond: river lake: any",
    "river": "surrounded by: tree height: many; running through: ground settlement: any; running past: building: any",
    "lake": """
        surrounded by: tree height: many; lying behind: building height: any; lying beyond: settlement ground: any
    """,
    "way": """
        leading to: settlement building lake: any; running through: ground settlement: any
        lined with: tree building: many
        used by: person animal: any; damaged by: disaster: any
    """,
    "idea": """
        proposed by: person group official: any; based on: document idea: any; rejected by: person group: any
        leading to: event debate: any; concerning: event debate building: any; supported by: person group: any
    """,
    "event": """
        organized by: person group official: any; involving: person group: any; attended by: person: any
        attended by: official person: any; taking place in: settlement building: one; dedicated to: person: any
    """,
    "debate": """
        organized by: person group official: any; involving: person group: any; attended by: person official: any
        caused by: idea disaster document: any; taking place in: settlement building: one; dealing with: idea: any
        leading to: event: any; concerning: idea group: any
    """,
    "disaster": "involving: vehicle person: any; caused by: person vehicle: any; described in: document: any",
    "substance": """
        stored in: container building: one; brought by: person: any; sold by: person: any
        coming from: settlement: any
    """,
    "goods": """
        stored in: room container: one; made by: person: any; belonging to: person group: any; sold by: person: any
        bought by: person: any
    """,
    "knowledge": """
        coming from: person group: any; published in: document: any; collected by: person group: any
        based on: document: any; concerning: event debate person idea: any
    """,
}

# Transitive verbs: who does it > to what: the verbs. Common ones are listed more than once.
VERBS = """
    person > person official kin: know admire love hate help visit thank trust respect follow teach invite warn blame
        praise criticize avoid interview welcome protect rescue recognize miss annoy surprise remember accompany
        mention call like
    official group > person: hire dismiss honor pay support punish consult advise accuse
    person group > document: publish write translate sign review study borrow collect quote destroy prepare send
        mention recommend finish print burn receive
    person > picture: admire buy sell steal restore collect create describe praise borrow
    person > work: admire describe recommend praise remember like review enjoy
    person > toy: love buy sell break repair bring lose share choose
    person > object key: carry buy sell hold steal find lose break repair clean hide bring need borrow use pack
    person > container: carry open lift fill fill lose bring hide close pack find
    person group > building: build own visit design buy rent clean enter inspect restore manage leave
    person > room: clean decorate rent enter use inspect leave
    person > opening: repair open close clean inspect lock use
    person > part: repair build clean inspect restore
    person > surface: buy sell repair clean move build polish
    person > vehicle: drive drive drive repair buy rent own wash inspect sell steal need stop
    person > animal: feed feed keep own chase observe find rescue protect catch love buy
    person > fish: catch eat sell buy observe prepare
    person > food: eat eat prepare buy sell serve bring share steal love
    person > clothing: wear wear wear wear buy wash sew choose sell mend lose bring design borrow
    person > tree flower: plant sell buy protect love
    person group > idea: support oppose reject discuss explain defend accept propose understand criticize develop
        present mention ignore
    person group > event debate: organize attend attend remember describe cancel avoid discuss miss watch
    person > disaster: remember describe survive cause investigate
    person > settlement: visit leave love explore know describe miss remember reach
    person > ground height: visit love explore know cross reach
    person > river lake way: cross reach explore follow know
    person group > group: join support criticize trust help advise
    person group > substance goods: buy sell bring need export steal
    person group > knowledge: share collect receive need publish ignore use hide
    group > group: oppose support criticize join help trust
    animal > animal: chase follow fear avoid frighten watch
    animal > person: bite follow frighten love recognize protect
    animal > food: eat like destroy steal find
    document > event debate idea person settlement disaster: describe mention discuss praise criticize analyze
    document > knowledge: contain confirm include contradict
    picture > person animal building event debate height: show portray depict
    work > person event debate settlement: describe celebrate mock portray
    container > document object food clothing: contain hold
    building room > picture document goods: contain
    building > river way ground lake building: face overlook
    opening part > way: face overlook
    height > settlement river lake: overlook
    vehicle > person food goods animal: carry bring transport
    vehicle > building settlement: reach pass leave
    idea > person group official: worry please surprise annoy frighten interest divide inspire disappoint
    event debate > person group: worry affect divide inspire interest surprise disappoint weaken
    event debate > settlement: affect divide weaken
    disaster > building settlement way vehicle: destroy damage threaten
    disaster > person animal: frighten kill injure surprise
    way > settlement: reach pass
    way > river ground: cross follow
    tree > building way opening: hide shade
    river > settlement ground: cross divide reach
    knowledge > person group: help worry surprise interest please embarrass
"""

IRREGULAR_VERBS: dict[str, tuple[str, str, str]] = {  # past, participle, -ing
    "know": ("knew", "known", "knowing"), "teach": ("taught", "taught", "teaching"),
    "pay": ("paid", "paid", "paying"), "write": ("wrote", "written", "writing"),
    "buy": ("bought", "bought", "buying"), "sell": ("sold", "sold", "selling"),
    "send": ("sent", "sent", "sending"), "steal": ("stole", "stolen", "stealing"),
    "hold": ("held", "held", "holding"), "find": ("found", "found", "finding"),
    "lose": ("lost", "lost", "losing"), "break": ("broke", "broken", "breaking"),
    "hide": ("hid", "hidden", "hiding"), "bring": ("brought", "brought", "bringing"),
    "choose": ("chose", "chosen", "choosing"),
    "build": ("built", "built", "building"), "leave": ("left", "left", "leaving"),
    "drive": ("drove", "driven", "driving"), "feed": ("fed", "fed", "feeding"),
    "keep": ("kept", "kept", "keeping"), "catch": ("caught", "caught", "catching"),
    "eat": ("ate", "eaten", "eating"), "wear": ("wore", "worn", "wearing"),
    "sew": ("sewed", "sewn", "sewing"),
    "understand": ("understood", "understood", "understanding"), "bite": ("bit", "bitten", "biting"),
    "show": ("showed", "shown", "showing"), "stop": ("stopped", "stopped", "stopping"),

    "cancel": ("canceled", "canceled", "canceling"),
}  # fmt: skip

# Verbs that describe a course of action or a view, which may stand as "-ing": "the man carrying the box".
ACTIONS = frozenset(
    _words("""
    visit help follow protect rescue write publish review study prepare carry hold steal repair
    clean open fill build enter inspect drive wash feed chase catch eat wear sew discuss organize attend describe
    explore cross join buy sell collect watch avoid explain destroy contain face overlook transport show portray depict
    criticize praise mention threaten damage worry divide support oppose defend reach surround
    """)
)
# Verbs whose object is not described by "-ed by" ("the letter lacked by the clerk").
NO_PASSIVE = frozenset(_words("hate like miss need leave annoy surprise please follow pass"))
# Verbs that may be followed by "to" and a recipient.
TRANSFERS = frozenset(_words("send show sell bring describe recommend present explain carry"))
# Meanings whose relative pronoun is "who", and for which personal pronouns "he, she, they, we" can stand.
PERSONS = frozenset({"person", "kin", "official"})
AGENTS = PERSONS | {"group"}
ANIMATE = AGENTS | {"animal"}

# Adverbs before the verb of a relative clause.
ADVERBS = {
    "present": _words("often sometimes always rarely usually never still seldom occasionally frequently"),
    "past": _words("once finally often never recently nearly eventually also twice already"),
    "present deliberate": _words("secretly openly regularly gladly publicly patiently"),
    "past deliberate": _words("secretly quietly carefully openly proudly suddenly gladly"),
}
# Adverbs before an adjective.
DEGREES = _words("very rather extremely surprisingly quite")

GRADABLE = frozenset(
    _words("""
    old young tall famous long short small large heavy expensive cheap important strange beautiful dangerous deep wide
    narrow high fast slow clever shy lonely rich poor powerful dirty quiet simple useful interesting boring
    """)
)

# Adjectives by the meaning of the noun: those that come first (opinion, size, age), then those that come second.
ADJECTIVES: dict[str, tuple[str, str]] = {
    "person": (
        "young old famous tall clever brave kind shy proud honest friendly lonely rich poor angry happy polite nervous "
        "tired cheerful elderly quiet strange popular",
        "local foreign retired experienced blind homeless talented wounded unemployed religious",
    ),
    "kin": (
        "young old clever brave kind shy lonely famous rich poor cheerful elderly dear",
        "foreign homeless blind talented",
    ),
    "official": ("young new honest powerful unpopular ambitious", "former local senior experienced foreign"),
    "group": (
        "new powerful large small influential famous independent secret",
        "local national foreign royal military",
    ),
    "animal": (
        "big small old young hungry thirsty noisy fierce gentle lazy wild",
        "brown black white gray wounded sleeping",
    ),
    "fish": ("big small old young rare huge", "gray blue wounded strange"),
    "tree": ("tall old beautiful small huge", "green dead ancient bare dying"),
    "flower": ("beautiful small tall lovely delicate", "red white yellow wild rare withered"),
    "food": ("fresh sweet small huge delicious expensive tasty", "ripe frozen homemade local"),
    "toy": ("old new small beautiful cheap", "broken wooden plastic red"),
    "object": (
        "old small heavy beautiful expensive cheap ancient useful",
        "broken silver golden rusty wooden antique",
    ),
    "key": ("old small heavy tiny", "rusty golden bent"),
    "container": ("large small heavy old empty new", "wooden locked leather green broken"),
    "surface": ("long old new small low comfortable", "wooden broken dusty round antique"),
    "clothing": ("old new warm long elegant expensive dirty", "black red blue white woolen torn"),
    "vehicle": ("old new fast slow small expensive huge", "red blue white damaged rusty empty"),
    "document": (
        "long short new recent important interesting famous boring old",
        "secret official anonymous political unfinished",
    ),
    "picture": (
        "famous new beautiful old strange small impressive",
        "modern unfinished forgotten colorful religious",
    ),
    "work": ("famous new beautiful old strange short boring", "modern unfinished forgotten political religious"),
    "building": (
        "old new large small famous ancient beautiful ugly tall",
        "white abandoned ruined modern empty medieval",
    ),
    "room": ("large small dark beautiful cold narrow new", "empty private sunny dusty royal"),
    "opening": ("large old narrow heavy high", "wooden white rusty damaged hidden"),
    "part": ("large old narrow high small", "broken wooden white damaged"),
    "settlement": (
        "small large old famous beautiful quiet poor wealthy",
        "southern northern coastal foreign medieval",
    ),
    "ground": ("large beautiful quiet green wide dangerous", "northern remote dry sunny frozen"),
    "height": ("high small beautiful steep famous distant", "rocky green remote southern snowy"),
    "river": ("deep wide cold narrow quiet beautiful", "northern muddy frozen polluted"),
    "lake": ("deep wide cold quiet beautiful small", "northern blue frozen polluted"),
    "way": ("long narrow new old wide busy dangerous", "muddy empty unfinished winding flooded"),
    "idea": (
        "new old important strange simple brilliant serious dangerous",
        "political scientific economic controversial practical",
    ),
    "event": (
        "long important recent famous bitter terrible great",
        "annual international political unexpected military",
    ),
    "debate": ("long important recent famous bitter serious short", "annual international political unexpected secret"),
    "disaster": ("terrible recent sudden serious great", "unexpected deadly mysterious"),
    "substance": ("fresh cheap expensive", "imported polluted stolen"),
    "goods": ("old new expensive cheap beautiful", "antique foreign stolen damaged"),
    "knowledge": ("new important recent useful false", "scientific political secret reliable"),
}  # fmt: skip

# Words before a noun, with how often each is drawn. The article is written "a" here; grammar.py makes it "an".
DETERMINERS: dict[str, dict[str, int]] = {
    "singular": {"the": 58, "a": 17, "this": 4, "that": 4, "another": 2, "every": 2, "each": 2, "one": 1},
    "plural": {
        "the": 62, "these": 4, "those": 4, "some": 6, "many": 3, "several": 4, "few": 1, "two": 3, "three": 2,
        "four": 1,
        "both": 1, "various": 1, "all": 1,
    },
    "owner": {"his": 3, "her": 3, "our": 2, "their": 3, "my": 2},
}  # fmt: skip
# Meanings that are somebody's: "her cousin", "their car", but not "her river".
OWNED = frozenset(_words("kin object key container clothing vehicle document picture work animal idea toy food"))
# Determiners that show the number of an invariant noun.
SHOWING = {
    "singular": _words("a this that another every each one"),
    "plural": _words("these those several two three four many both"),
}

# Quantifiers before a definite noun phrase: the whole has either a number of its own or that of the noun.
QUANTIFIERS: dict[str, tuple[str, ...]] = {
    "singular": (
        "each of", "one of", "every one of", "neither of", "either of", "the number of", "only one of",
        "every single one of",
    ),
    "plural": ("many of", "several of", "two of", "three of", "both of", "a few of", "few of", "very few of"),
    "noun": (
        "most of", "some of", "all of", "half of", "almost all of", "nearly all of", "two thirds of", "the rest of",
        "a lot of",
    ),
    "singular bare": ("a lot of", "plenty of", "much", "too much", "a great deal of", "a large amount of"),
    "plural bare": (
        "a lot of", "plenty of", "a number of", "dozens of", "hundreds of", "thousands of", "a great many", "too many"
    ),
}  # fmt: skip
# The words of such a quantifier that are its head.
COUNTING = frozenset(_words("each one neither either number many several two three both few"))

PRONOUNS: dict[str, str] = {"he": "singular", "she": "singular", "they": "plural", "we": "plural", "it": "singular"}
# Indefinite pronouns as subjects.
INDEFINITES: dict[str, tuple[str, ...]] = {
    "singular": ("everyone", "everybody", "someone", "somebody", "anyone", "anybody", "nobody", "no one"),
    "plural": ("those", "those", "many", "others", "several", "some others", "many others"),
}

# Phrases before the subject. Their nouns distract, but lie outside the span from subject to verb.
FRONTED_FIXED = tuple(
    phrase.strip()
    for phrase in """
    in the early years of the war; after the long winter; every morning; last summer; on cold nights; at midnight
    during the summer months; in most countries; in recent years; at the end of the century
    in the last days of the empire
    on sunday mornings; a few weeks ago; two years later; before the holidays; in the middle of the night
    at the beginning of the season; in those days; on weekdays; at the weekend; since the last elections
    after many years of peace; for several months; in the spring; in the evenings; a long time ago; some days later
    at the time; in fact; of course; for this reason; for many reasons; in other words; for example
    according to the rumors
    in spite of the rain; because of the snow; under these conditions; in such cases; without any doubt
    to the delight of the guests; in the opinion of the experts; on the other hand; in the eyes of the law; as a rule
    by the end of the month; owing to the good weather; in good years; in times of peace; from the very first day
    """.replace("\n", ";").split(";")
    if phrase.strip()
)
# Prepositions of generated fronted phrases, with the meaning of their noun.
FRONTED: dict[str, str] = {
    "in": "settlement ground building room", "near": "settlement river lake building opening", "on": "height way",
    "during": "event debate disaster", "before": "event debate", "after": "event debate disaster",
    "despite": "event idea disaster",
    "because of": "event disaster idea", "according to": "document person official", "unlike": "person official",
    "owing to": "event idea", "in the absence of": "person official", "behind": "building opening surface",
    "opposite": "building", "beyond": "height river ground", "in front of": "building",
    "in agreement with": "person kin official", "in response to": "document idea event", "long before": "event",
    "shortly after": "event disaster", "in spite of": "idea event", "for the sake of": "person kin",
}  # fmt: skip
CONJUNCTIONS = _words("when after before although because while")

# Joining two subjects: before the first, between, after the second.
COORDINATIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "joined": (("", "and", ""), ("", "and", ""), ("", "and", ""), ("both", "and", "")),
    "chosen": (("", "or", ""), ("neither", "nor", ""), ("either", "or", "")),
    "added": (("", ", together with", ","), ("", ", along with", ","), ("", ", as well as", ",")),
}

# "an" before these beginnings, except where the first sound is a consonant, and before a silent h.
VOWELS = "aeiou"
CONSONANT_SOUND = ("uni", "use", "euro", "one", "once")
SILENT_H = ("hour", "honest", "heir", "honor")
