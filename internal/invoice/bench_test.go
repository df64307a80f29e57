package invoice_test

import (
	"testing"

	"teamogy-ksef/internal/invoice"
	"teamogy-ksef/internal/simulator/samples"
)

func sampleOptions() samples.Options { return samples.Options{OurNIP: seller, Today: today} }

// typical is an issued invoice of a handful of lines.
func typical() []byte { return samples.GenerateIssued(sampleOptions(), 2)[0].XML }

// largest is as large as KSeF takes an invoice with attachment: 3 MB in thousands
// of lines. Its seller is a supplier.
func largest() []byte {
	return samples.LargeXML(sampleOptions(), invoice.DefaultMaxBytesWithAttachment)
}

func BenchmarkReadInvoiceTypical(b *testing.B) { benchmarkRead(b, typical()) }

func BenchmarkReadInvoice3MB(b *testing.B) { benchmarkRead(b, largest()) }

func benchmarkRead(b *testing.B, xml []byte) {
	b.SetBytes(int64(len(xml)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := invoice.Read(xml); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckInvoiceTypical(b *testing.B) { benchmarkCheck(b, typical(), check()) }

func BenchmarkCheckInvoice3MB(b *testing.B) {
	c := check()
	c.SellerNIP, c.MaxBytes = samples.Suppliers(sampleOptions())[0].NIP, invoice.DefaultMaxBytesWithAttachment
	benchmarkCheck(b, largest(), c)
}

func benchmarkCheck(b *testing.B, xml []byte, c invoice.Check) {
	b.SetBytes(int64(len(xml)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := invoice.CheckForSending(xml, c); err != nil {
			b.Fatal(err)
		}
	}
}
