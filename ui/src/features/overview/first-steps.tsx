'use client'
/** The way to the first data. Each step is read from the cluster: closing the tab loses nothing, and two see the same. */
import { ButtonLink } from '@/components/button'
import { Icon } from '@/components/icons'
import type { ApplicationsView, DestinationsView } from '@/lib/api.gen'
import { plural } from '@/lib/format'

const arrived = (destinations: DestinationsView): boolean =>
  destinations.items.some((item) => item.spans + item.metricPoints + item.logRecords > 0)

export function isFirstRun(sources: ApplicationsView, destinations: DestinationsView): boolean {
  const isChosen = sources.items.some((row) => row.wanted)
  return !isChosen || destinations.items.length === 0 || !arrived(destinations)
}

export function FirstSteps({ sources, destinations }: { sources: ApplicationsView; destinations: DestinationsView }) {
  const chosen = sources.items.filter((row) => row.wanted).length
  const instrumented = sources.counts.instrumented ?? 0
  const steps = [
    {
      title: 'Choose applications',
      isDone: chosen > 0,
      told: chosen > 0 ? `${plural(chosen, 'application')} chosen.` : 'Flip the switch of an application, or of a whole namespace.',
      action: 'Choose applications',
      href: '/sources/',
    },
    {
      title: 'Say where telemetry goes',
      isDone: destinations.items.length > 0,
      told:
        destinations.items.length > 0
          ? `${destinations.items.map((item) => item.display).slice(0, 2).join(', ')}.`
          : 'Any back end that takes OTLP; or the debug destination, just to see something come.',
      action: 'Add a destination',
      href: '/destinations/edit/',
    },
    {
      title: 'See data arrive',
      isDone: arrived(destinations),
      told: instrumented > 0 ? 'The first requests to the applications make the first spans.' : 'It begins by itself when the first application is instrumented.',
      action: 'Watch the applications',
      href: '/sources/',
    },
  ]
  const next = steps.findIndex((step) => !step.isDone)
  return (
    <section aria-label="First steps" className="card px-5 py-5 sm:px-6">
      <h2 className="text-base font-semibold">Three steps to the first data</h2>
      <ol className="mt-4 grid gap-x-6 gap-y-5 md:grid-cols-3">
        {steps.map((step, index) => (
          <li key={step.title} className="flex gap-3">
            <span
              className={
                'grid size-7 shrink-0 place-items-center rounded-full text-sm font-semibold ' +
                (step.isDone ? 'bg-ok-soft text-ok' : index === next ? 'bg-accent-fill text-white' : 'bg-sunken text-muted')
              }
            >
              {step.isDone ? <Icon name="done" /> : index + 1}
            </span>
            <div className="min-w-0">
              <h3 className="font-medium">
                {step.title}
                <span className="sr-only">{step.isDone ? ': done' : ''}</span>
              </h3>
              <p className="mt-0.5 text-sm text-muted">{step.told}</p>
              {index === next && (
                <ButtonLink kind="primary" size="small" href={step.href} className="mt-3">
                  {step.action}
                </ButtonLink>
              )}
            </div>
          </li>
        ))}
      </ol>
    </section>
  )
}
