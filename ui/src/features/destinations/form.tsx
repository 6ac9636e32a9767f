'use client'
/**
 * The form of one type of destination. What is missing is found here; everything else is the server's judgement, asked
 * for by a dry run while the person types, and shown at the field it is about, once they have left that field.
 */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useEffect, useMemo, useRef, useState, type FormEvent, type ReactNode } from 'react'
import { Button, ButtonLink } from '@/components/button'
import { Code } from '@/components/code'
import { Problem } from '@/components/feedback'
import { CheckField, Field, SelectField, TextField } from '@/components/field'
import { Icon } from '@/components/icons'
import { useNotify } from '@/components/notices'
import { PageHead, Section } from '@/components/page'
import { api, problemOf } from '@/lib/api'
import type { DestinationFieldView, DestinationPreviewView, DestinationTypeView, NewDestinationRequest, ProblemView } from '@/lib/api.gen'
import { capital, plural } from '@/lib/format'
import { useConnection, useSources } from '@/lib/queries'
import { SIGNAL_WORDS } from './signals'

const PAUSE_MILLIS = 350

type Signal = DestinationTypeView['signals'][number]

interface Values {
  display: string
  signals: readonly Signal[]
  data: Readonly<Record<string, string>>
}

/** Messages by field: `display`, `signals`, `data.<NAME>`. */
type Errors = Readonly<Record<string, string>>

const SIGNALS = 'signals'
const DISPLAY = 'display'
const dataField = (name: string): string => `data.${name}`

function startOf(type: DestinationTypeView): Values {
  return {
    display: '',
    signals: type.signals,
    data: Object.fromEntries(type.fields.map((field) => [field.name, field.default])),
  }
}

function missing(type: DestinationTypeView, values: Values): Errors {
  const errors: Record<string, string> = {}
  for (const field of type.fields) {
    if (field.required && !values.data[field.name]?.trim()) errors[dataField(field.name)] = `${field.label} is needed.`
  }
  if (values.signals.length === 0) errors[SIGNALS] = 'Choose at least one, or nothing would be sent.'
  return errors
}

/** What stands in a field as its default is not sent: the server knows it too. */
function requestOf(type: DestinationTypeView, values: Values): NewDestinationRequest {
  const given = type.fields.filter((field) => {
    const value = values.data[field.name] ?? ''
    return value !== '' && value !== field.default
  })
  return {
    type: type.type,
    display: values.display,
    signals: [...values.signals],
    data: Object.fromEntries(given.map((field) => [field.name, values.data[field.name] ?? ''])),
  }
}

export function DestinationForm({ type }: { type: DestinationTypeView }) {
  const [values, setValues] = useState(() => startOf(type))
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set())
  const [tries, setTries] = useState(0)
  const [refusal, setRefusal] = useState<ProblemView>()
  const form = useRef<HTMLFormElement>(null)
  const router = useRouter()
  const client = useQueryClient()
  const notify = useNotify()
  const isAway = useConnection().phase === 'lost'

  const lacking = useMemo(() => missing(type, values), [type, values])
  const dryRun = useDryRun(type, values, Object.keys(lacking).length === 0)
  const said = refusal ?? dryRun.problem
  const errors: Errors = { ...(said?.field ? { [said.field]: `${said.detail} ${said.fix}`.trim() } : {}), ...lacking }
  const shown = (field: string): string => (tries > 0 || left.has(field) ? (errors[field] ?? '') : '')
  const isAtNoField = said && !knowsField(type, said.field)

  const write = useMutation({
    mutationFn: api.addDestination,
    onSuccess: async (accepted) => {
      await client.invalidateQueries({ queryKey: ['destinations'] })
      notify({ text: `${values.display.trim() || type.display} is added; the collectors take it up within seconds.` })
      router.push(`/destinations/?added=${encodeURIComponent(accepted.object)}`)
    },
    onError: (error) => {
      setRefusal(problemOf(error))
      setTries((before) => before + 1)
    },
  })

  // A try that failed moves the focus; what is typed after it never does.
  useEffect(() => {
    if (tries > 0) focusFirstInvalid(form.current)
  }, [tries])

  function change(next: Partial<Values>): void {
    setValues((before) => ({ ...before, ...next }))
    setRefusal(undefined)
  }

  function setData(name: string, value: string): void {
    setValues((before) => ({ ...before, data: { ...before.data, [name]: value } }))
    setRefusal(undefined)
  }

  function leave(field: string): void {
    setLeft((before) => (before.has(field) ? before : new Set([...before, field])))
  }

  function submit(event: FormEvent): void {
    event.preventDefault()
    if (Object.keys(lacking).length > 0) setTries((before) => before + 1)
    else if (!isAway) write.mutate(requestOf(type, values))
  }

  const waiting = useSources().data?.items.filter((row) => row.reason === 'NoDestination').length ?? 0
  const consequence = waiting
    ? `${plural(waiting, 'chosen application')} ${waiting === 1 ? 'waits' : 'wait'} for a destination, and ${waiting === 1 ? 'is' : 'are'} restarted with the agent once there is one.`
    : 'The collectors use it within seconds of being added.'
  const needed = type.fields.filter((field) => field.required)
  const optional = type.fields.filter((field) => !field.required)
  const input = (field: DestinationFieldView) => (
    <Input
      key={field.name}
      field={field}
      value={values.data[field.name] ?? ''}
      error={shown(dataField(field.name))}
      onChange={(value) => setData(field.name, value)}
      onLeave={() => leave(dataField(field.name))}
    />
  )
  return (
    <>
      <PageHead title={`New destination: ${type.display}`} sentence={consequence} />
      <div className="grid items-start gap-8 lg:grid-cols-[minmax(0,1fr)_minmax(0,24rem)]">
        <form ref={form} noValidate onSubmit={submit} className="card space-y-5 p-5 sm:p-6" aria-label={`New destination: ${type.display}`}>
          {isAtNoField && tries > 0 && <Problem problem={said} />}
          <TextField
            name={DISPLAY}
            label="Name"
            value={values.display}
            placeholder={type.display}
            help="What the lists call it."
            error={shown(DISPLAY)}
            onChange={(display) => change({ display })}
            onLeave={() => leave(DISPLAY)}
          />
          {needed.map(input)}
          <Signals
            all={type.signals}
            chosen={values.signals}
            error={shown(SIGNALS)}
            onChange={(signals) => {
              change({ signals })
              leave(SIGNALS)
            }}
          />
          {optional.length > 0 && (
            <Optional labels={optional.map((field) => field.label)} isOpenFirst={needed.length === 0}>
              {optional.map(input)}
            </Optional>
          )}
          <div className="flex flex-wrap gap-2 border-t border-line pt-5">
            <Button type="submit" kind="primary" busy={write.isPending} aria-disabled={isAway || undefined}>
              Add destination
            </Button>
            <ButtonLink href="/destinations/">Cancel</ButtonLink>
          </div>
        </form>
        <aside className="min-w-0 lg:sticky lg:top-20">
          <Section title="The same with kubectl">
            <Preview preview={dryRun.preview} />
          </Section>
        </aside>
      </div>
    </>
  )
}

function knowsField(type: DestinationTypeView, field: string): boolean {
  return field === DISPLAY || field === SIGNALS || type.fields.some((known) => dataField(known.name) === field)
}

function focusFirstInvalid(form: HTMLFormElement | null): void {
  const field = form?.querySelector<HTMLElement>('[aria-invalid="true"]')
  field?.closest('details')?.setAttribute('open', '')
  field?.focus()
}

interface DryRun {
  preview?: DestinationPreviewView
  problem?: ProblemView
}

/** What the server would say to the form as it stands; asked after a pause, and only the last answer counts. */
function useDryRun(type: DestinationTypeView, values: Values, isComplete: boolean): DryRun {
  const [outcome, setOutcome] = useState<DryRun>({})
  useEffect(() => {
    if (!isComplete) {
      setOutcome({})
      return
    }
    let isLast = true
    const timer = setTimeout(() => {
      api.previewDestination(requestOf(type, values)).then(
        (preview) => isLast && setOutcome(preview.problem ? { problem: preview.problem } : { preview }),
        (error: unknown) => {
          const problem = problemOf(error)
          if (isLast && problem.type !== 'away') setOutcome({ problem })
        },
      )
    }, PAUSE_MILLIS)
    return () => {
      isLast = false
      clearTimeout(timer)
    }
  }, [type, values, isComplete])
  return outcome
}

interface InputProps {
  field: DestinationFieldView
  value: string
  error: string
  onChange: (value: string) => void
  onLeave: () => void
}

function Input({ field, ...rest }: InputProps) {
  const shared = { name: dataField(field.name), label: field.label, help: field.help, required: field.required, ...rest }
  switch (field.kind) {
    case 'boolean':
      return <CheckField {...shared} />
    case 'select':
      return <SelectField {...shared} options={field.options} />
    case 'multiline':
      return <TextField {...shared} placeholder={field.placeholder} lines={3} />
    case 'secret':
      return <TextField {...shared} placeholder={field.placeholder} secret />
    case 'text':
    case 'url':
      return <TextField {...shared} placeholder={field.placeholder} code />
  }
}

function Signals({
  all,
  chosen,
  error,
  onChange,
}: {
  all: readonly Signal[]
  chosen: readonly Signal[]
  error: string
  onChange: (signals: readonly Signal[]) => void
}) {
  return (
    <fieldset>
      <legend className="mb-1.5 text-sm font-medium">Signals</legend>
      <div className="flex flex-wrap gap-2">
        {all.map((signal) => (
          <label
            key={signal}
            className="flex min-h-9 cursor-pointer items-center gap-2 rounded-lg border border-edge px-3 text-sm has-checked:border-accent has-checked:bg-accent-soft"
          >
            <input
              type="checkbox"
              name={SIGNALS}
              value={signal}
              checked={chosen.includes(signal)}
              aria-invalid={error ? true : undefined}
              aria-describedby={error ? 'signals-error' : undefined}
              onChange={(event) => onChange(all.filter((each) => (each === signal ? event.target.checked : chosen.includes(each))))}
              className="size-4 accent-accent-fill"
            />
            {capital(SIGNAL_WORDS[signal])}
          </label>
        ))}
      </div>
      <Field.Error id="signals-error" text={error} />
    </fieldset>
  )
}

function Optional({ labels, isOpenFirst, children }: { labels: readonly string[]; isOpenFirst: boolean; children: ReactNode }) {
  const [isOpen, setIsOpen] = useState(isOpenFirst)
  return (
    <details className="group border-t border-line pt-4" open={isOpen} onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary className="flex items-start gap-1.5 rounded-md">
        <Icon name="chevron" className="mt-1 size-4 text-muted transition-transform group-open:rotate-90" />
        <span>
          <span className="font-medium">More settings</span>
          <span className="block text-sm text-muted group-open:hidden">{labels.join(', ')}</span>
        </span>
      </summary>
      <div className="mt-4 space-y-5">{children}</div>
    </details>
  )
}

function Preview({ preview }: { preview?: DestinationPreviewView }) {
  if (!preview) return <p className="card p-5 text-muted">The command shows here when the form is filled in and right.</p>
  return (
    <div className="space-y-3">
      <Code text={preview.kubectl} label="kubectl command" />
      {preview.secretFields.length > 0 && (
        <p className="flex gap-2 text-sm text-muted">
          <Icon name="key" className="mt-0.5 size-4" />
          <span>
            {preview.secretFields.join(', ')} {preview.secretFields.length === 1 ? 'goes' : 'go'} into a Secret that this page never reads back. With
            kubectl, make that Secret yourself.
          </span>
        </p>
      )}
    </div>
  )
}
