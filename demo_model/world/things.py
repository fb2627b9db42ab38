"""The things that the model knows: their words, and the emoji whose picture each one is."""

from __future__ import annotations

from dataclasses import dataclass

# Left out is what a person confuses with another thing at 50 pixels once both are painted in one colour: a tomato and
# an apple, a sad and a happy face, a fire truck and a truck.
# name | emoji | plural where it is not name + s | other singular words | shelters
_TABLE = """
cat | 🐈 |  | kitten
dog | 🐕 |  | puppy
horse | 🐎 |  | stallion
cow | 🐄
pig | 🐖
sheep | 🐑 | sheep | lamb
goat | 🐐
rabbit | 🐇 |  | bunny
mouse | 🐁 | mice
elephant | 🐘
lion | 🦁
tiger | 🐅
bear | 🐻
panda | 🐼
monkey | 🐒
gorilla | 🦍
fox | 🦊 | foxes
deer | 🦌 | deer
camel | 🐫
giraffe | 🦒
zebra | 🦓
rhino | 🦏 |  | rhinoceros
squirrel | 🐿
hedgehog | 🦔
bat | 🦇
chicken | 🐓 |  | rooster
duck | 🦆
swan | 🦢
owl | 🦉
penguin | 🐧
parrot | 🦜
flamingo | 🦩
turtle | 🐢 |  | tortoise
snake | 🐍
crocodile | 🐊 |  | alligator
frog | 🐸
dragon | 🐉
dinosaur | 🦕
whale | 🐋
dolphin | 🐬
shark | 🦈
fish | 🐟 | fish
octopus | 🐙 | octopuses
crab | 🦀
lobster | 🦞
snail | 🐌
butterfly | 🦋 | butterflies
bee | 🐝
ant | 🐜
ladybug | 🐞
spider | 🕷
unicorn | 🦄
tree | 🌳 |  | oak | shelters
pine tree | 🌲 |  | fir | shelters
palm tree | 🌴 |  | palm | shelters
cactus | 🌵 | cactuses
sunflower | 🌻
rose | 🌹
tulip | 🌷 |  | flower
mushroom | 🍄 |  | toadstool | shelters
clover | 🍀
maple leaf | 🍁 | maple leaves
sun | ☀
moon | 🌙
star | ⭐
cloud | ☁
rainbow | 🌈
lightning | ⚡
snowman | ⛄ | snowmen
snowflake | ❄
umbrella | ☂ |  | parasol | shelters
tornado | 🌪 | tornadoes
fire | 🔥 |  | flame
wave | 🌊
volcano | 🌋 | volcanoes
mountain | ⛰ |  |  | shelters
house | 🏠 |  | home | shelters
castle | 🏰 |  |  | shelters
church | ⛪ | churches | chapel | shelters
tent | ⛺ |  |  | shelters
skyscraper | 🏢 |  |  | shelters
factory | 🏭 | factories |  | shelters
tower | 🗼 |  |  | shelters
fountain | ⛲
ferris wheel | 🎡 |  |  | shelters
car | 🚗 |  | automobile
bus | 🚌 | buses
truck | 🚚 |  | lorry
tractor | 🚜
bicycle | 🚲 |  | bike
motorcycle | 🏍 |  | motorbike
train | 🚂 |  | locomotive
airplane | ✈ |  | plane
helicopter | 🚁
rocket | 🚀 |  | spaceship
sailboat | ⛵ |  | boat
ship | 🚢
taxi | 🚕
ufo | 🛸
balloon | 🎈
apple | 🍎
banana | 🍌
lemon | 🍋
strawberry | 🍓 | strawberries
grapes | 🍇 | grapes
watermelon | 🍉 |  | melon
pear | 🍐
cherry | 🍒 | cherries
pineapple | 🍍
carrot | 🥕
corn | 🌽 | corn
eggplant | 🍆 |  | aubergine
broccoli | 🥦 | broccoli
pizza | 🍕
hamburger | 🍔 |  | burger
hot dog | 🌭
cake | 🎂
cupcake | 🧁 |  | muffin
ice cream | 🍦
donut | 🍩 |  | doughnut
cookie | 🍪
bread | 🍞
cheese | 🧀
sushi | 🍣 | sushi
coffee | ☕ |  | tea
beer | 🍺
smiley face | 😀 |  | smiley
sunglasses face | 😎
robot | 🤖
ghost | 👻
alien | 👽
skull | 💀
clown | 🤡
pumpkin | 🎃
man | 👨 | men | boy
woman | 👩 | women | girl
wizard | 🧙
mermaid | 🧜
santa | 🎅
princess | 👸 | princesses
heart | ❤
football | ⚽ | | soccer ball
basketball | 🏀
key | 🔑
light bulb | 💡 |  | lamp
book | 📕
clock | ⏰
chair | 🪑
bed | 🛏
sofa | 🛋 |  | couch
guitar | 🎸
trumpet | 🎺
drum | 🥁
camera | 📷
phone | 📱 |  | telephone
laptop | 💻 |  | computer
television | 📺 |  | tv
hat | 🎩
crown | 👑
dress | 👗 | dresses
shoe | 👟
gift | 🎁 |  | present
candle | 🕯
bell | 🔔
anchor | ⚓
hammer | 🔨
sword | 🗡
bomb | 💣
diamond | 💎 |  | gem
trophy | 🏆 | trophies
teddy bear | 🧸
globe | 🌍 |  | planet
"""


@dataclass(frozen=True)
class Thing:
    """One thing that can be drawn.

    `name` is the word that identifies it, `plural` its plural, `synonyms` other singular words for it. `shelters`
    says that something smaller can stand under it, at its foot, as a horse does under a tree.
    """

    name: str
    emoji: str
    plural: str
    synonyms: tuple[str, ...]
    shelters: bool

    @property
    def file_stem(self) -> str:
        """The name of its picture's file, without the ending."""
        return self.name.replace(" ", "-")


def _read(line: str) -> Thing:
    name, emoji, plural, synonyms, shelters = [*(cell.strip() for cell in line.split("|")), "", "", ""][:5]
    others = tuple(word.strip() for word in synonyms.split(",") if word.strip())
    return Thing(name, emoji, plural or name + "s", others, shelters == "shelters")


THINGS: tuple[Thing, ...] = tuple(_read(line) for line in _TABLE.strip().splitlines())
INDEX: dict[str, int] = {thing.name: number for number, thing in enumerate(THINGS)}
