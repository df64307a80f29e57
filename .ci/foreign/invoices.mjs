// Small FA(3) invoices, written here on purpose and not taken from the product's
// own generator: the witness shares nothing with what it testifies about.

const today = () =>
  new Intl.DateTimeFormat("sv-SE", { timeZone: "Europe/Warsaw" }).format(new Date());

function fa3({ sellerNip, sellerName, buyerNip, buyerName, number }) {
  return `<?xml version="1.0" encoding="UTF-8"?>
<Faktura xmlns="http://crd.gov.pl/wzor/2025/06/25/13775/">
  <Naglowek>
    <KodFormularza kodSystemowy="FA (3)" wersjaSchemy="1-0E">FA</KodFormularza>
    <WariantFormularza>3</WariantFormularza>
    <DataWytworzeniaFa>${new Date().toISOString().slice(0, 19)}Z</DataWytworzeniaFa>
    <SystemInfo>foreign witness</SystemInfo>
  </Naglowek>
  <Podmiot1>
    <DaneIdentyfikacyjne><NIP>${sellerNip}</NIP><Nazwa>${sellerName}</Nazwa></DaneIdentyfikacyjne>
    <Adres><KodKraju>PL</KodKraju><AdresL1>ul. Próbna 1, 00-001 Warszawa</AdresL1></Adres>
  </Podmiot1>
  <Podmiot2>
    <DaneIdentyfikacyjne><NIP>${buyerNip}</NIP><Nazwa>${buyerName}</Nazwa></DaneIdentyfikacyjne>
    <Adres><KodKraju>PL</KodKraju><AdresL1>ul. Świadka 2, 30-002 Kraków</AdresL1></Adres>
    <JST>2</JST>
    <GV>2</GV>
  </Podmiot2>
  <Fa>
    <KodWaluty>PLN</KodWaluty>
    <P_1>${today()}</P_1>
    <P_2>${number}</P_2>
    <P_6>${today()}</P_6>
    <P_13_1>100.00</P_13_1>
    <P_14_1>23.00</P_14_1>
    <P_15>123.00</P_15>
    <Adnotacje>
      <P_16>2</P_16>
      <P_17>2</P_17>
      <P_18>2</P_18>
      <P_18A>2</P_18A>
      <Zwolnienie><P_19N>1</P_19N></Zwolnienie>
      <NoweSrodkiTransportu><P_22N>1</P_22N></NoweSrodkiTransportu>
      <P_23>2</P_23>
      <PMarzy><P_PMarzyN>1</P_PMarzyN></PMarzy>
    </Adnotacje>
    <RodzajFaktury>VAT</RodzajFaktury>
    <FaWiersz>
      <NrWierszaFa>1</NrWierszaFa>
      <P_7>Zażółć gęślą jaźń — usługa próbna</P_7>
      <P_8A>szt.</P_8A>
      <P_8B>1</P_8B>
      <P_9A>100.00</P_9A>
      <P_11>100.00</P_11>
      <P_12>23</P_12>
    </FaWiersz>
  </Fa>
</Faktura>
`;
}

let count = 0;
const unique = (letter) => `FW/${process.pid}/${Date.now()}/${letter}${++count}`;

/** An invoice that the company with this NIP gets from a supplier. */
export function receivedInvoice(nip) {
  const number = unique("R");
  return { number, xml: fa3({ sellerNip: "5260250274", sellerName: "Dostawca Sp. z o.o.", buyerNip: nip, buyerName: "Świadek S.A.", number }) };
}

/** An invoice that the company with this NIP issues. */
export function issuedInvoice(nip) {
  const number = unique("S");
  return { number, xml: fa3({ sellerNip: nip, sellerName: "Świadek S.A.", buyerNip: "5260250274", buyerName: "Odbiorca Sp. z o.o.", number }) };
}

/** An invoice that the schema forbids: it lacks the total, P_15. */
export function badInvoice(nip) {
  const { number, xml } = issuedInvoice(nip);
  return { number, xml: xml.replace(/ *<P_15>.*<\/P_15>\n/, "") };
}
