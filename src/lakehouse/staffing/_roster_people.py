"""Invented people: names, telephone numbers and addresses that belong to nobody.

Numbers are from 555-0100 to 555-0199, which are kept free for fiction; addresses are in the domains
example.com, example.net and example.org. No name is a word of a trade or
of a tool (johnson bars, lewis pins), so that none can stand in a resume.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

_FIRST = (
    "Aaliyah Abdul Adriana Agnieszka Ahmed Aisha Alejandro Alicia Amara Amelia Amir Ana Andre Angela Anh Anita Antonio"
    " Anthony Arjun Ashley Aylin Babak Beatriz Benjamin Bianca Boris Brandon Brenda Brianna Camila Carlos Carmen"
    " Caroline Cecilia Charlotte Chidi Chloe Chris Clarence Connor Cristina Damaris Daniel Danielle Dariusz"
    " Darnell David Deborah Deepak Demetrius Denise Derek Destiny Diego Dmitri Dolores Dominique Donna Duc Dwayne Edgar"
    " Eduardo Elena Elias Elizabeth Emeka Emily Emmanuel Enrique Eric Esther Ethan Eun-ji Fatima Felipe Fernando"
    " Fiona Francesca Francisco Gabriela Gary George Giovanni Gloria Graciela Gregory Guadalupe Hakeem Hannah Hassan"
    " Heather Hector Helen Henry Hiroshi Hugo Ibrahim Igor Imani Ines Irina Isaac Isabel Ivan Jada Jamal James"
    " Janelle Jasmine Javier Jennifer Jerome Jesus Jin Joanna Jonathan Jorge Jose Joseph Joyce Juan Julia Kareem Karen"
    " Katarzyna Kayla Keisha Kenji Kevin Khadija Kofi Kwame Lakisha Lamar Latoya Laura Leila Leonard Leticia Linh"
    " Lorenzo Lucia Luis Luz Maksim Malik Manuel Marcus Margaret Maria Mariam Marisol Martin Mateo Matthew Mei Melissa"
    " Mercedes Miguel Mikhail Minh Mohammed Monica Monique Nadia Naomi Natalia Nathan Ngozi Nguyet Nicole Nikhil Nina"
    " Noah Nora Octavia Olga Oluwaseun Omar Oscar Pablo Pamela Patricia Paulo Pedro Peter Phuong Priya Quentin Rachel"
    " Rafael Rahul Raquel Rashad Raymond Rebecca Renata Ricardo Robert Rodrigo Rosa Ruben Ruth Ryan Salma Samantha"
    " Samuel Sandra Sanjay Santiago Sarah Sean Sergio Shanice Sharon Sheila Shirin Silvia Simone Sofia Soo-jin Stefan"
    " Stephanie Steven Sunita Susan Svetlana Tamika Tanya Tariq Terrence Theresa Thomas Thuy Tiffany Timothy Tomas"
    " Trang Trevor Tyrone Uchenna Valeria Vanessa Veronica Victor Vincent Vladimir Wei Wendell Wilfredo William"
    " Ximena Xiomara Yasmin Yolanda Yuki Yusuf Zachary Zainab Zoe"
).split()
_LAST = (
    "Abdullah Abebe Acevedo Achebe Adams Adeyemi Aguilar Ahmad Alvarado Alvarez Anderson Andrade Antonov Aquino"
    " Arroyo Asante Avila Ayala Bailey Banerjee Barnes Bautista Begum Beltran Benally Bennett Bernal Bianchi Boateng"
    " Bowman Boyle Bradley Brennan Bui Burke Bustamante Byrne Caldwell Campbell Cardenas Carrillo Castaneda"
    " Castillo Cervantes Chakraborty Chang Chaudhry Chavez Chen Cho Chowdhury Coleman Collins Contreras Cordova"
    " Coronado Cortez Crawford Cruz Cunningham Dang Daniels Davenport Davis Delacruz Delgado Desai Diallo Diaz"
    " Dimitrov Doan Dominguez Donnelly Duarte Dubois Duong Edwards Ekwueme Ellis Emerson Erickson Escobar Espinoza"
    " Estrada Evans Farah Ferguson Fernandes Figueroa Fitzgerald Flores Fuentes Gallagher Gallegos Garcia Garza"
    " Georgiou Gibson Gomez Gonzales Grabowski Graham Griffin Guerrero Gupta Gutierrez Guzman Haddad Hamilton"
    " Hashemi Hawkins Henderson Hernandez Herrera Hoang Hoffman Holguin Hossain Howard Huang Hughes Hussain Ibarra"
    " Iglesias Ivanov Iyer Jacobs Jaramillo Jefferson Jennings Jensen Jimenez Johansson Jones Juarez Kaminski"
    " Kaur Kennedy Khan Khoury Kim Kimura Kowalski Kozlov Kruger Kumar Larsen Ledesma Lee Leon"
    " Lindgren Liu Lopez Lozano Lucas Luna Mahmoud Maldonado Malhotra Marino Marquez Martinez Mbeki McAllister"
    " McCarthy McKinney Medina Mehta Mejia Mendoza Mensah Meyers Mitchell Mohamed Molina Montoya Morales Moreno"
    " Moretti Morris Mukherjee Munoz Murillo Murphy Nakamura Navarro Nelson Ngo Nguyen Nkemelu Novak Nunez"
    " Obi O'Brien Ochoa O'Connor Okafor Okonkwo Olsen Oluwole O'Neill Orozco Ortega Ortiz Osei Osman Owens Pacheco"
    " Padilla Palacios Papadopoulos Paredes Patel Patterson Pereira Perez Peterson Petrov Pham Popescu"
    " Quintana Quispe Rahman Ramirez Ramos Rasmussen Reddy Reyes Reynolds Rios Rivas Rivera Roberts"
    " Robinson Rodriguez Rojas Romano Rosario Rossi Rubio Ruiz Russo Ryan-Torres Saeed Salazar Salgado Sanchez Sandoval"
    " Santana Sato Schneider Schultz Serrano Shah Shapiro Sharma Sherman Siddiqui Silva Simmons Singh Sokolov"
    " Soto Stephens Sullivan Suzuki Szymanski Takahashi Tanaka Tesfaye Thompson Tkachenko Torres Tran Trevino Trujillo"
    " Tsosie Ugarte Valdez Valencia Vargas Vasquez Vega Velasquez Villanueva Vo Volkov Wagner Wallace Washington Watson"
    " Weber Whitaker Williams Wilson Wisniewski Wojcik Wong Xiong Yamamoto Yang Yazzie Yilmaz Zamora Zapata Zhang"
    " Zielinski Zimmerman Zuniga"
).split()
_AREA = dict(
    pair.split(":")
    for pair in (
        "AL:205 AK:907 AZ:602 AR:501 CA:213 CO:303 CT:203 DE:302 DC:202 FL:305 GA:404 HI:808 ID:208 IL:312 IN:317"
        " IA:515 KS:316 KY:502 LA:504 ME:207 MD:410 MA:617 MI:313 MN:612 MS:601 MO:314 MT:406 NE:402 NV:702 NH:603"
        " NJ:201 NM:505 NY:212 NC:704 ND:701 OH:216 OK:405 OR:503 PA:215 RI:401 SC:803 SD:605 TN:615 TX:214 UT:801"
        " VT:802 VA:804 WA:206 WV:304 WI:414 WY:307 PR:787 GU:671 MP:670 VI:340 AS:684"
    ).split()
)
_ANY_AREA = "202"
_PHONES = ("({0}) 555-{1}", "{0}-555-{1}", "{0}.555.{1}", "{0} 555 {1}", "+1 {0} 555 {1}", "1-{0}-555-{1}")
_DOMAINS = ("example.com", "example.org", "example.net")
_ADDRESSES = ("{0}.{1}", "{0}{1}", "{0}_{1}", "{2}{1}", "{0}.{1}{3}", "{1}.{0}", "{2}.{1}{3}")
_NOT_A_LETTER = re.compile(r"[^a-z]")


class Person(NamedTuple):
    """Who somebody is and how they are reached; none of it is ever embedded."""

    name: str
    phone: str
    email: str


def person(random: Random, state: str) -> Person:
    """Invent somebody who lives in a state (postal code)."""
    first = _FIRST[int(random.random() * len(_FIRST))]
    last = _LAST[int(random.random() * len(_LAST))]
    line = f"01{int(random.random() * 100):02d}"
    form = _PHONES[int(random.random() * len(_PHONES))]
    address = _ADDRESSES[int(random.random() * len(_ADDRESSES))]
    domain = _DOMAINS[int(random.random() * len(_DOMAINS))]
    number = str(1 + int(random.random() * 98))
    given, family = (_NOT_A_LETTER.sub("", part.lower()) for part in (first, last))
    return Person(
        name=f"{first} {last}",
        phone=form.format(_AREA.get(state, _ANY_AREA), line),
        email=address.format(given, family, given[0], number) + "@" + domain,
    )
