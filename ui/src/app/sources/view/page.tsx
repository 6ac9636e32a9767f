import { SourcePage } from '@/features/sources/detail'

export const metadata = { title: 'Application' }

export default function Page() {
  return <SourcePage />
}
