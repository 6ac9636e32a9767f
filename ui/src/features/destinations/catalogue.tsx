'use client'
import { Until } from '@/components/feedback'
import { Icon } from '@/components/icons'
import { Link } from '@/components/link'
import { capital } from '@/lib/format'
import { useDestinationTypes } from '@/lib/queries'
import { SIGNAL_WORDS } from './signals'

const LAST = 'testing'

/** The kinds of back end, by what they are for. */
export function Catalogue({ heading: Heading = 'h2' }: { heading?: 'h2' | 'h3' }) {
  const query = useDestinationTypes()
  const types = query.data?.items ?? []
  const categories = [...new Set(types.map((type) => type.category))].sort(
    (one, other) => Number(one === LAST) - Number(other === LAST) || one.localeCompare(other),
  )
  return (
    <Until query={query} rows={3}>
      <div className="space-y-6">
        {categories.map((category) => (
          <section key={category}>
            <Heading className="mb-2 text-sm font-medium text-muted">{capital(category)}</Heading>
            <ul className="grid gap-3 sm:grid-cols-2 lg:grid-cols-3">
              {types
                .filter((type) => type.category === category)
                .map((type) => (
                  <li key={type.type}>
                    <Link
                      href={`/destinations/edit/?type=${encodeURIComponent(type.type)}`}
                      className="group card flex h-full items-center gap-3 p-4 transition-colors hover:border-accent hover:bg-hover"
                    >
                      <span className="min-w-0 flex-1">
                        <span className="block font-semibold">{type.display}</span>
                        <span className="text-sm text-muted">{capital(type.signals.map((signal) => SIGNAL_WORDS[signal]).join(', '))}</span>
                      </span>
                      <Icon name="arrow" className="size-4 text-muted transition-transform group-hover:translate-x-0.5 group-hover:text-accent" />
                    </Link>
                  </li>
                ))}
            </ul>
          </section>
        ))}
      </div>
    </Until>
  )
}
