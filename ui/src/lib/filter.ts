/** What the search field of the list means: words that must all occur, and tokens as ns:shop, lang:java, state:failed. */
import type { ApplicationView } from './api.gen'
import { APPLICATION, language } from './states'

const TOKENS: Readonly<Record<string, (row: ApplicationView, wanted: string) => boolean>> = {
  ns: (row, wanted) => row.namespace.toLowerCase().includes(wanted),
  kind: (row, wanted) => row.kind.toLowerCase().includes(wanted),
  lang: (row, wanted) => row.languages.some((name) => name.includes(wanted) || language(name).toLowerCase().includes(wanted)),
  state: (row, wanted) => stateWords(row).includes(wanted),
  reason: (row, wanted) => row.reason.toLowerCase().includes(wanted),
}

export const TOKEN_NAMES = Object.keys(TOKENS)

export type Matches = (row: ApplicationView) => boolean

export function matcher(text: string): Matches {
  const tests = text
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .map((word): Matches => {
      const colon = word.indexOf(':')
      const token = colon > 0 ? TOKENS[word.slice(0, colon)] : undefined
      const wanted = word.slice(colon + 1)
      return token ? (row) => token(row, wanted) : (row) => everything(row).includes(word)
    })
  return (row) => tests.every((test) => test(row))
}

const texts = new WeakMap<ApplicationView, string>()

function everything(row: ApplicationView): string {
  const known = texts.get(row)
  if (known !== undefined) return known
  const languages = row.languages.map((name) => `${name} ${language(name)}`).join(' ')
  const text = `${row.id} ${languages} ${stateWords(row)} ${row.reason} ${row.message}`.toLowerCase()
  texts.set(row, text)
  return text
}

function stateWords(row: ApplicationView): string {
  return `${row.state} ${APPLICATION[row.state].word}`.toLowerCase()
}
